"""Scores a recorded call: a suite's reader restores request and answer, and its scorers judge them.

The record holds the request as the model got it and the reply as the model gave it, both redacted. No expectation is known,
so only scorers that need none can find something.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from app.audit.rows import storable
from evals.suite import Reader, Scored, Suite

SCORED = ("ok", "output_invalid")  # outcomes that are the product's own; the objectives count the effects of outages
# Redaction leaves these of personal data, by kind. A tag of HTML looks the same but for the digest.
TOKEN = re.compile(r"<([a-z][a-z0-9_-]*(?=:)|redaction-failed(?=>))(?::[0-9a-f]{8})?>")


class Unreadable(Exception):  # noqa: N818 - the record is
    """A record that is not in the form its feature writes, or of a request that ended early."""


def readers_of(suites: Sequence[Suite]) -> dict[str, Reader]:
    """The readers of all suites, by feature."""
    return {feature: reader for suite in suites for feature, reader in suite.readers.items()}


def read(row: Mapping[str, Any], readers: Mapping[str, Reader]) -> Scored:
    """Read a row of ``calls``, the last of its request.

    All of the result can be stored. Raises Unreadable, whatever a model wrote.
    """
    try:
        request = _storable(json.loads(row["request"]))
        response = _storable(json.loads(row["response"])) if row["response"] else {}
        scored = readers[row["feature"]](row, request, response or {})
        # again: a text may be JSON itself, with escapes of its own
        wrong = tuple(replace(found, words=storable(found.words)) for found in scored.findings)
        return Scored(_storable(scored.request), _storable(scored.answer), wrong)
    except (ValidationError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError) as error:
        raise Unreadable(f"{row['feature']}: {type(error).__name__}") from error


def _storable(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same without NUL and half surrogates, which JSON may bring by escapes and JSONB refuses."""
    match value:
        case Mapping():
            return {storable(name): _storable(item) for name, item in value.items()}
        case list() | tuple():
            return [_storable(item) for item in value]
    return storable(value)
