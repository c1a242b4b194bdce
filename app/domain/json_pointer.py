"""JSON pointers (RFC 6901)."""

from typing import Any

from app.domain.whole_numbers import whole_number


def resolved(document: Any, pointer: str) -> Any:  # noqa: ANN401 - any JSON
    """The value that a pointer leads to; it begins with a slash. Raises LookupError where it leads to none."""
    found = document
    for step in pointer[1:].split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and (at := whole_number(key, digits=7)) is not None and at < len(found):
            found = found[at]
        else:
            raise LookupError(pointer)
    return found
