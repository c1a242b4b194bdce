r"""Regular expressions of JSON Schemas, matched by RE2 in time linear in the text.

JSON Schema means ECMA-262's expressions, which RE2 nearly covers. Lookaheads at the beginning (``^(?!\.)(?=.*[0-9])…``), where
generators of schemas put them, become expressions of their own that must, or must not, match. The rest, such as a
backreference, is not checked, and `octant-degraded` reports it: real clients send such schemas, and a refusal breaks them.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2

LONGEST = 2_000  # characters of an expression
TOO_LARGE = "pattern too large"  # RE2's words
MEMORY = 1 << 18  # bytes of RE2's program and its cache: bounds what one character of text can cost
STEPS_PER_SEARCH = 5
STEPS_PER = 64  # characters times instructions that count as one step of work

_UNICODE = re.compile(r"(\\\\)|\\u\{?([0-9a-fA-F]{4,6})\}?")


class Unmatchable(Exception):  # noqa: N818 - it is named for what it says
    """RE2 cannot do this expression."""


class TooLarge(Unmatchable):
    """Its program takes more memory than it may: RE2 found out by making it."""


class Malformed(Exception):  # noqa: N818 - it is named for what it says
    """An expression in no dialect: a group or class is not closed, or an escape is cut off."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """An expression. ``wanted`` must be found in a text, ``unwanted`` must not."""

    wanted: tuple[Any, ...]
    unwanted: tuple[Any, ...]
    size: int

    def found_in(self, text: str) -> bool:
        """Whether the text matches, anywhere (JSON Schema's expressions are not anchored)."""
        raw = text.encode("utf-8", "surrogatepass")
        if not all(expression.search(raw) for expression in self.wanted):
            return False
        return not any(expression.search(raw) for expression in self.unwanted)

    def steps(self, text: str) -> int:
        """The work of matching ``text``, at the worst that RE2 may take: each instruction at each character."""
        return STEPS_PER_SEARCH * (len(self.wanted) + len(self.unwanted)) + len(text) * self.size // STEPS_PER


@lru_cache(maxsize=1_024)
def compiled(expression: str) -> Pattern:
    """Raises Unmatchable or Malformed."""
    if len(expression) > LONGEST:
        raise Unmatchable
    if not _balanced(expression):
        raise Malformed
    wanted, unwanted, rest = _leading_lookaheads(_UNICODE.sub(_code_point, expression))
    must, must_not = tuple(map(_re2, (*wanted, rest))), tuple(map(_re2, unwanted))
    return Pattern(must, must_not, sum(one.programsize for one in (*must, *must_not)))


def _re2(expression: str) -> Any:  # noqa: ANN401 - re2 is not typed
    options = re2.Options()
    options.max_mem = MEMORY
    options.log_errors = False
    options.never_capture = True
    try:
        return re2.compile(expression.encode(), options=options)
    except re2.error as error:
        raise (TooLarge if TOO_LARGE in str(error) else Unmatchable) from None
    except UnicodeEncodeError:
        raise Unmatchable from None


def _code_point(found: re.Match[str]) -> str:
    return found[1] or f"\\x{{{found[2]}}}"


def _leading_lookaheads(expression: str) -> tuple[list[str], list[str], str]:
    """The expressions of ``^(?=…)(?!…)rest`` that must match and must not, and the rest; without lookaheads, all is rest."""
    wanted: list[str] = []
    unwanted: list[str] = []
    at = 1
    while expression.startswith("^") and expression[at : at + 3] in ("(?=", "(?!"):
        end = _closing(expression, at)
        (wanted if expression[at + 2] == "=" else unwanted).append(f"^(?:{expression[at + 3 : end]})")
        at = end + 1
    if at == 1:
        return wanted, unwanted, expression
    rest = expression[at:]
    if _alternates(rest) or rest[:1] in ("*", "+", "?", "{"):
        raise Unmatchable  # the lookahead belongs to the first alternative only, or is repeated
    return wanted, unwanted, "^" + rest


def _closing(expression: str, start: int) -> int:
    """The end of the group that begins at ``start``."""
    for at, depth in _depths(expression, start):
        if depth == 0:
            return at
    raise Unmatchable


def _balanced(expression: str) -> bool:
    """Whether groups and classes are closed, and no escape is cut off."""
    open_groups, found = 0, _depths(expression + " ", 0)  # the blank is taken by an open class, or by a cut-off escape
    for _, open_groups in found:
        if open_groups < 0:
            return False
    return open_groups == 0 and bool(found) and found[-1][0] == len(expression)


def _alternates(expression: str) -> bool:
    return any(depth == 0 and expression[at] == "|" for at, depth in _depths(expression, 0))


def _depths(expression: str, start: int) -> list[tuple[int, int]]:
    """Each character outside of classes and escapes, and how many groups are open behind it."""
    found: list[tuple[int, int]] = []
    depth, at, in_class = 0, start, False
    while at < len(expression):
        sign = expression[at]
        if sign == "\\":
            at += 2
            continue
        if in_class:
            in_class = sign != "]"
        elif sign == "[":
            in_class = True
        else:
            depth += (sign == "(") - (sign == ")")
            found.append((at, depth))
        at += 1
    return found
