"""The texts of releases as files hold them: whatever is wrong with one is a Misconfigured that names it."""

import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.domain.errors import Misconfigured

T = TypeVar("T", bound=BaseModel)
MOST_PARTS = 64  # of a key between dots: Python's parser takes the square of their number
_PART = r"""(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"(?<![A-Za-z0-9_-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MOST_PARTS}}}")


def text_of(path: Path) -> str:
    """Read a file. Raises Misconfigured."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} is not readable: {error}.") from None


def table_of(text: str, where: str) -> dict[str, Any]:
    """Parse TOML. Raises Misconfigured also where the parser has another error: for a number or a nesting without end."""
    if _LONG_KEY.search(text):
        raise Misconfigured(f"{where} is not TOML that can be read: a key has over {MOST_PARTS} parts.")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise Misconfigured(f"{where} is not TOML that can be read: it is nested too deep.") from None
    except ValueError as error:  # a TOMLDecodeError, or the limit of a number's digits
        raise Misconfigured(f"{where} is not TOML: {str(error).partition(';')[0]}.") from None


def parsed_as(model: type[T], text: str, where: str) -> T:
    """Parse TOML of a form. Raises Misconfigured with every fault; a list has no other fault where one of its items has one."""
    try:
        return model.model_validate(table_of(text, where))
    except ValidationError as error:
        faults = error.errors()
        lists = {fault["loc"][:depth] for fault in faults for depth in range(1, len(fault["loc"]))}
        lines = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults if fault["loc"] not in lists]
        raise Misconfigured(f"{where} is not usable:\n  " + "\n  ".join(lines)) from None
