"""Images and documents in a request, by any API: schemes have no case, and base64 may come in lines."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from app.api.chat import anthropic_request, openai_request
from app.api.responses import request as responses_request
from app.domain.calls import Deadline, Identity, Tenant
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
