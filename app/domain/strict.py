"""The base of models for files that people write or that a program wrote earlier."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Immutable; refuses unknown fields, so that a typing error is found and not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)
