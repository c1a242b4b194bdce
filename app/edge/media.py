"""Addresses of images and documents in a request: on the web, or with the data in them (RFC 2397).

A scheme has no case (RFC 3986, 3.1). Base64 in lines, as MIME and the encoders of Java, Android and Python write it, is base64 to
some models and an error to others, so it goes on without its blanks.

OpenAI's Responses read files of text and code of any type; its chat completions and Claude take PDFs and text alone. So a file
whose bytes are text is text here, whatever its type is called.

Nothing is fetched here, but a model's own server does, and where that is the operator's it stands in the operator's network. An
address of a cloud's metadata service, which hands out credentials, has no other use there, so it is refused (vLLM's
CVE-2026-34753, LMDeploy's CVE-2026-33626). It is no boundary: a name can lead anywhere.
"""

import base64
import ipaddress
import re
import socket

from yarl import URL

from app.domain.errors import InvalidRequest

_WEB = ("http://", "https://")
_LONGEST = max(map(len, _WEB))
_METADATA = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"})
_OF_CLOUDS = tuple(
    map(
        ipaddress.ip_network,
        ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32"),
    )
)
_HOLD_IPV4 = tuple(map(ipaddress.ip_network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")))
_PDF, _PDF_START = "application/pdf", "JVBERi0"  # `%PDF-` in base64
_FIRST = 4096  # characters of base64 that show whether the rest may be text
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")


def web_address(text: str) -> str | None:
    """An address on the web, its scheme in small letters; None for any other text. Raises InvalidRequest for a cloud's own."""
    begun = text[:_LONGEST].lower()
    if not begun.startswith(_WEB):
        return None
    if _is_of_a_cloud(text):
        raise InvalidRequest("A URL of a cloud's metadata service is not supported.")
    return begun + text[_LONGEST:]


def _is_of_a_cloud(address: str) -> bool:
    """Whether an address, in any of its spellings, names a cloud's metadata service, or a machine on the same wire."""
    try:
        host = (URL(address.replace("\\", "/")).raw_host or "").lower().rstrip(".").partition("%")[0]
    except (ValueError, IndexError):  # yarl raises the latter for some forms of []@
        return False
    if host in _METADATA:
        return True
    try:
        ip = ipaddress.ip_address(host if ":" in host else socket.inet_aton(host))
    except (ValueError, OSError):  # a name
        return False
    if isinstance(ip, ipaddress.IPv6Address) and any(ip in network for network in _HOLD_IPV4):
        ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return any(ip in network for network in _OF_CLOUDS)


def holds_data(text: str) -> bool:
    """Whether a text is a data URL."""
    return text[:5].lower() == "data:"


def inline(url: str) -> tuple[str, str] | None:
    """The media type and the base64 of a data URL, without the parameters before ``base64``; None where it has none of them."""
    head, _, data = url[5:].partition(",")
    media_type, *parameters = head.split(";")
    if not media_type or not parameters or parameters[-1].strip().lower() != "base64" or not data:
        return None
    return media_type.strip().lower(), compact(data)


def compact(data: str) -> str:
    """Base64 without line ends and blanks."""
    return "".join(data.split())


def file(media_type: str | None, data: str) -> tuple[str, str | None, str | None]:
    """The media type of a file in base64, and its text; in its place the base64 of one that is no text, such as a PDF.

    ``media_type``: as its caller names it; None for bare base64, which is a PDF: the API began with them. Raises ValueError where
    it names text that is none.
    """
    if media_type is None or media_type == _PDF or data.startswith(_PDF_START):
        return _PDF, None, data
    text = base64.b64decode(data, validate=True).decode() if media_type.startswith("text/") else _text(data)
    return media_type, text, data if text is None else None


def _text(data: str) -> str | None:
    """The text of bytes that are text; None for any others."""
    try:
        if _NO_TEXT.search(base64.b64decode(data[:_FIRST], validate=True).decode(errors="ignore")):
            return None
        text = base64.b64decode(data, validate=True).decode()
    except ValueError:
        return None
    return text if not _NO_TEXT.search(text) else None
