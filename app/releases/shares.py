"""A share of the users, as operators write it."""

from app.domain.errors import InvalidRequest


def share_of(text: str) -> float:
    """Read a share such as 10% or 0.1. Raises InvalidRequest."""
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        raise InvalidRequest(f"{text!r} is not a share: write it as 10% or 0.1.", param="share") from None
    return number / 100 if text.endswith("%") else number
