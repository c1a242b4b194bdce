"""Does a reply satisfy its schema? Says where and why not, without ever quoting the value (it may hold personal data)."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from app.domain.calls import Reply
from app.domain.messages import OutputSchema

MOST_VIOLATIONS = 10


def violations(reply: Reply, output: OutputSchema | None) -> tuple[str, ...]:
    """Return what is wrong: nothing where no schema was asked for, or where the model calls a tool or refuses."""
    if output is None or reply.stop in ("tool_use", "refusal"):
        return ()
    try:
        document = json.loads(reply.text)
    except ValueError as error:
        return (f"not JSON: {error.args[0] if reply.text else 'empty'}",)
    if not output.schema:
        return () if isinstance(document, dict) else ("$: not an object",)
    found = sorted(_validator(_canonical(output.schema)).iter_errors(document), key=lambda e: e.json_path)
    return tuple(_told(error) for error in found[:MOST_VIOLATIONS])


def _told(error: ValidationError) -> str:
    """Path and rule, for instance ``$.priority: enum ["low", "high"]``; the offending value is left out."""
    rule = json.dumps(error.validator_value, default=str)
    return f"{error.json_path}: {error.validator} {rule[:200]}"


def _canonical(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, sort_keys=True)


@lru_cache(maxsize=256)
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema))
