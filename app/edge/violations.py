"""Words for the rules that a request breaks. They never hold a value that came: pydantic's own messages may quote it.

A request model with unions reports one violation for each member of a union, so the one that the caller meant is chosen here.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import ValidationError

from app.domain.errors import InvalidRequest

Violation: TypeAlias = Mapping[str, Any]
# A value of the right type beyond a limit: the limit in words.
LIMITS: Mapping[str, str] = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "too_long": "at most {max_length} items",
    "too_short": "at least {min_length} items",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "at least {min_length} characters",
    "string_pattern_mismatch": "a string that matches {pattern}",
    "finite_number": "a finite number",
}
# A value of another type than the model's: what was expected instead.
TYPES: Mapping[str, str] = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "none_required": "null",
}
# The last step of a location where it is a member of a union, which pydantic names by its type.
MEMBER = re.compile(r"(?:str|int|float|bool)\Z|(?:list|dict|literal|tagged-union)\[|constrained-|[A-Z]")
MOST_ERRORS = 1_000  # that are searched for the one that the caller meant
KINDS = frozenset({"union_tag_invalid", "union_tag_not_found"})  # the field that tells the members of a union apart


def meant(error: ValidationError) -> tuple[tuple[int | str, ...], Sequence[Violation]]:
    """The location of the deepest violation, and all violations there: a union has one for each member that is as deep.

    Raises InvalidRequest for a body that is wrong in many places: to list 190,000 of them takes a second.
    """
    if error.error_count() > MOST_ERRORS:
        raise InvalidRequest(f"The body has values of a wrong type in over {MOST_ERRORS:,} places.")
    found = [(_location(violation), violation) for violation in error.errors(include_input=False, include_url=False)]
    deepest, first = max(found, key=lambda pair: len(pair[0]))
    if not deepest or not MEMBER.match(str(deepest[-1])):
        return deepest, [first]
    same = [violation for location, violation in found if len(location) == len(deepest) and location[:-1] == deepest[:-1]]
    broken = [violation for violation in same if violation["type"] not in (*TYPES, "literal_error")]
    return deepest, broken[:1] or same  # of the right type, and yet wrong: this member of the union was meant


def is_missing(violations: Sequence[Violation]) -> bool:
    """Whether a required field is not there; the one that names a kind is required too."""
    return violations[0]["type"] in ("missing", "union_tag_not_found")


def rule(violations: Sequence[Violation]) -> str:
    """The broken rule, such as ``expected at least 0`` or ``expected a string or an array``."""
    expected = [words for violation in violations if (words := _expected(violation))]
    return "expected " + " or ".join(dict.fromkeys(expected)) if expected else str(violations[0]["type"])


def unparsable(violations: Sequence[Violation]) -> InvalidRequest | None:
    """The refusal of a body that is no JSON, with the place where that shows; None for any other violation."""
    found = violations[0]
    if found["type"] != "json_invalid":
        return None
    return InvalidRequest(f"We could not parse the JSON body of your request: {found['ctx']['error']}.")


def _location(violation: Violation) -> tuple[int | str, ...]:
    """Where it is. A wrong kind is that of the field that holds it."""
    location: tuple[int | str, ...] = violation["loc"]
    return (*location, violation["ctx"]["discriminator"].strip("'")) if violation["type"] in KINDS else location


def _expected(violation: Violation) -> str | None:
    context = violation.get("ctx", {})
    if violation["type"] == "union_tag_invalid":
        return f"one of {context['expected_tags']}"
    if violation["type"] == "literal_error":
        return str(context["expected"])
    try:
        return LIMITS[violation["type"]].format(**context)
    except KeyError:  # no limit, or a product's own error of such a name, without a figure
        return TYPES.get(violation["type"])
