"""Images and documents in a request, by any API: schemes have no case, and base64 may come in lines."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from app.api.chat import anthropic_request, openai_request
from app.api.responses import request as responses_request
from app.domain.calls import Deadline, Identity, Tenant
from app.domain.errors import InvalidRequest
from app.domain.messages import Document, Image, Part
from app.domain.money import ZERO
from app.edge.requests import CallContext

Json = dict[str, Any]
CONTEXT = CallContext("req_1", Identity(Tenant("t", "T", ZERO, ZERO), "k", ""), Deadline.after(1))
PDF = base64.b64encode(b"%PDF-1.7" * 20).decode()
LINES = "\r\n".join(PDF[at : at + 76] for at in range(0, len(PDF), 76)) + "\n"  # as MIME has it
TEXT = base64.encodebytes(b"hello " * 30).decode()


def chat(part: Json) -> Part:
    body = {"model": "smart", "messages": [{"role": "user", "content": [part]}]}
    return openai_request.read(json.dumps(body).encode(), CONTEXT)[1].messages[0].parts[0]


def messages(part: Json) -> Part:
    body = {"model": "smart", "max_tokens": 5, "messages": [{"role": "user", "content": [part]}]}
    return anthropic_request.read(json.dumps(body).encode(), CONTEXT, betas=())[1].messages[0].parts[0]


def responses(part: Json) -> Part:
    body = {"model": "smart", "input": [{"role": "user", "content": [part]}]}
    return responses_request.read(json.dumps(body).encode(), CONTEXT)[1].messages[0].parts[0]


def of_chat(url: str) -> Json:
    return {"type": "image_url", "image_url": {"url": url}}


def inline(kind: str, media_type: str) -> Json:
    return {"type": kind, "source": {"type": "base64", "media_type": media_type, "data": LINES}}


# omnimind-ai/OmniBot#360, Alishahryar1/free-claude-code#1587: Java, Android and Python break base64 into lines.
@pytest.mark.parametrize(
    ("read", "part", "found"),
    [
        (chat, of_chat(f"data:image/png;base64,{LINES}"), Image(data=PDF, media_type="image/png")),
        (chat, of_chat(f"data:image/png;base64, {PDF}"), Image(data=PDF, media_type="image/png")),  # meta-llama/PurpleLlama#161
        (chat, {"type": "file", "file": {"file_data": LINES}}, Document(data=PDF, media_type="application/pdf")),
        (
            chat,
            {"type": "file", "file": {"file_data": f"data:text/plain;base64,{TEXT}"}},
            Document(text="hello " * 30, media_type="text/plain"),
        ),
        (
            responses,
            {"type": "input_image", "image_url": f"data:image/png;base64,{LINES}"},
            Image(data=PDF, media_type="image/png"),
        ),
        (responses, {"type": "input_file", "file_data": LINES}, Document(data=PDF, media_type="application/pdf")),
        (
            responses,
            {"type": "input_file", "file_data": f"data:text/plain;base64,{TEXT}"},
            Document(text="hello " * 30, media_type="text/plain"),
        ),
        (messages, inline("image", "image/png"), Image(data=PDF, media_type="image/png")),
        (messages, inline("document", "application/pdf"), Document(data=PDF, media_type="application/pdf")),
    ],
)
def test_base64_goes_on_without_its_line_ends(read: Callable[[Json], Part], part: Json, found: Part) -> None:
    assert read(part) == found


# RFC 3986, 3.1: keyboards of phones begin a text with a capital.
@pytest.mark.parametrize(
    ("read", "part"),
    [
        (chat, of_chat("Https://x.example/A")),
        (responses, {"type": "input_image", "image_url": "HTTPS://x.example/A"}),
        (messages, {"type": "image", "source": {"type": "url", "url": "Https://x.example/A"}}),
        (chat, {"type": "file", "file": {"file_data": "HTTPS://x.example/A"}}),
        (responses, {"type": "input_file", "file_url": "Https://x.example/A"}),
        (messages, {"type": "document", "source": {"type": "url", "url": "HTTPS://x.example/A"}}),
    ],
)
def test_the_scheme_of_an_address_has_no_case(read: Callable[[Json], Part], part: Json) -> None:
    found = read(part)
    assert isinstance(found, Image | Document)
    assert found.url == "https://x.example/A"


def test_a_data_url_has_no_case_in_the_responses_api_either() -> None:
    assert responses({"type": "input_image", "image_url": "DATA:IMAGE/PNG;BASE64,AAAA"}) == Image(
        data="AAAA", media_type="image/png"
    )


def of_file(read: Callable[[Json], Part], media_type: str, content: bytes) -> Document:
    data = f"data:{media_type};base64,{base64.b64encode(content).decode()}"
    file = {"filename": "a", "file_data": data}
    part = read({"type": "file", "file": file} if read is chat else {"type": "input_file", **file})
    assert isinstance(part, Document)
    return part


@pytest.mark.parametrize("read", [chat, responses])
@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        ("application/json", b'{"a": [1,\r\n\t2]}'),
        ("application/x-yaml", "Grüße: 1\n".encode()),
        ("application/octet-stream", b"plain"),
        ("video/mp2t", b"const a: string"),  # as browsers call TypeScript
        ("application/xml", b"<a/>" * 5000),
    ],
)
def test_a_file_whose_bytes_are_text_is_text(read: Callable[[Json], Part], media_type: str, content: bytes) -> None:
    """As OpenAI's Responses read it; its chat completions and Claude refuse the file (danny-avila/LibreChat#16055)."""
    assert of_file(read, media_type, content) == Document(text=content.decode(), media_type=media_type, name="a")


@pytest.mark.parametrize("read", [chat, responses])
@pytest.mark.parametrize(
    "content",
    [b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"a" * 5000 + b"\x00", b"a" * 5000 + b"\xff", b"\xc3", b"RIFF\x01\x00\x00\x00WAVE"],
)
def test_a_file_of_other_bytes_stays_as_it_is(read: Callable[[Json], Part], content: bytes) -> None:
    found = of_file(read, "application/msword", content)
    assert found == Document(data=base64.b64encode(content).decode(), media_type="application/msword", name="a")


@pytest.mark.parametrize("read", [chat, responses])
@pytest.mark.parametrize("media_type", ["application/octet-stream", "application/x-pdf", "text/plain"])
def test_a_pdf_is_one_whatever_its_type_is_called(read: Callable[[Json], Part], media_type: str) -> None:
    assert of_file(read, media_type, b"%PDF-1.7\n\xe2") == of_file(read, "application/pdf", b"%PDF-1.7\n\xe2")


@pytest.mark.parametrize("read", [chat, responses])
def test_text_that_is_none_is_refused(read: Callable[[Json], Part]) -> None:
    with pytest.raises(InvalidRequest, match="UTF-8"):
        of_file(read, "text/plain", b"\xe9")


# vllm-project/vllm's CVE-2026-34753 and InternLM/lmdeploy's CVE-2026-33626: a self-hosted model's server fetches what it is sent.
@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254", "169.254.169.254:80", "u:p@169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376",
        "169.254.43518", "169.254.169.254.", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[fe80::1]", "[fd00:ec2::254]",
        "100.100.100.200", "168.63.129.16", "Metadata.Google.Internal", "metadata", "\uff11\uff16\uff19.254.169.254",
    ],
)  # fmt: skip
def test_no_address_of_a_clouds_metadata_is_passed_on(host: str) -> None:
    url = f"http://{host}/latest/meta-data/"
    source = {"type": "url", "url": url}
    parts: list[tuple[Callable[[Json], Part], Json]] = [
        (chat, of_chat(url)), (chat, {"type": "file", "file": {"file_data": url}}),
        (messages, {"type": "image", "source": source}), (messages, {"type": "document", "source": source}),
        (responses, {"type": "input_image", "image_url": url}), (responses, {"type": "input_file", "file_url": url}),
    ]  # fmt: skip
    for read, part in parts:
        with pytest.raises(InvalidRequest, match="metadata service"):
            read(part)


@pytest.mark.parametrize(
    "host", ["images.example", "10.0.0.7:9000", "localhost:8000", "[2001:db8::1]", "169.253.0.1", "metadata.example"]
)
def test_any_other_address_is_passed_on(host: str) -> None:
    assert chat(of_chat(f"http://{host}/a.png")) == Image(url=f"http://{host}/a.png")
