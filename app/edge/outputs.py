"""Structured output: a call's schema and its parsed reply, from one pydantic model."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from app.domain.calls import Reply
from app.domain.errors import OutputInvalid
from app.domain.messages import OutputSchema

M = TypeVar("M", bound=BaseModel)


def schema_of(model: type[BaseModel]) -> OutputSchema:
    """The schema that a call's ``output`` asks for."""
    return OutputSchema(model.__name__.lower(), model.model_json_schema())


def read_output(model: type[M], reply: Reply) -> M:
    """Read a reply. Raises OutputInvalid for a refusal and for output that the model's own validators refuse."""
    if reply.stop == "refusal":
        raise OutputInvalid("No model would read this text.", violations=("refusal",))
    try:
        return model.model_validate_json(reply.text)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        violations = tuple(f"$.{'.'.join(map(str, e['loc']))}: {e['type']}" for e in found)
        raise OutputInvalid("No model gave valid output.", violations=violations) from None
