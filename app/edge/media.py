"""Addresses of images and documents in a request: on the web, or with the data in them (RFC 2397).

A scheme has no case (RFC 3986, 3.1). Base64 in lines, as MIME and the encoders of Java, Android and Python write it, is base64 to
some models and an error to others, so it goes on without its blanks.
"""

_WEB = ("http://", "https://")
_LONGEST = max(map(len, _WEB))


def web_address(text: str) -> str | None:
    """An address on the web, its scheme in small letters; None for any other text."""
    begun = text[:_LONGEST].lower()
    return begun + text[_LONGEST:] if begun.startswith(_WEB) else None


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
