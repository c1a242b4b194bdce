"""Usage as Claude and the servers of its protocol report it. Pure.

A request may take several turns of models: to shorten the conversation first, to ask an advisor, to answer in the place of one
that refused. The vendor then reports the last turn at the top and all of them in ``iterations``, and bills all of them.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, model_validator

from app.domain.calls import Usage
from app.gateway.providers.reported import UNUSABLE, Count, Optional


class _OutputDetails(BaseModel):
    thinking_tokens: Count = None


class _Written(BaseModel):
    """Tokens written to the cache, by how long they stay."""

    ephemeral_5m_input_tokens: Count = None
    ephemeral_1h_input_tokens: Count = None


class Reported(BaseModel):
    """A reply's usage, or a stream's growing one."""

    input_tokens: Count = None
    output_tokens: Count = None
    cache_read_input_tokens: Count = None
    cache_creation_input_tokens: Count = None
    cache_creation: Annotated[_Written | None, Optional] = None
    output_tokens_details: Annotated[_OutputDetails | None, Optional] = None

    @model_validator(mode="before")
    @classmethod
    def _with_all_turns(cls, value: Any) -> Any:  # noqa: ANN401 - any JSON
        turns = value.get("iterations") if isinstance(value, Mapping) else None
        return _most(value, [turn for turn in turns if isinstance(turn, Mapping)]) if isinstance(turns, list) else value

    def usage(self, *, final: bool) -> Usage:
        """What it says. Zero: not known. ``final``: the output's figure is no growing one."""
        parted = self.cache_creation or _Written()
        hours, minutes = parted.ephemeral_1h_input_tokens or 0, parted.ephemeral_5m_input_tokens or 0
        written = self.cache_creation_input_tokens
        inputs = [self.input_tokens, self.cache_read_input_tokens or 0, hours + minutes if written is None else written]
        known_input = None not in inputs and UNUSABLE not in (*inputs, hours, minutes)
        fresh, read, wrote = (n or 0 for n in inputs) if known_input else (0, 0, 0)
        output = self.output_tokens
        final = final and output is not None and output != UNUSABLE
        thought = self.output_tokens_details.thinking_tokens if self.output_tokens_details else None
        known = output or 0 if final else 0
        return Usage(
            input=fresh,
            output=known,
            cached_input=read,
            cache_write=wrote,
            reasoning=min(max(0, thought or 0), known),
            estimated=not final,
            cache_write_1h=min(max(0, hours), wrote),
        )


def _most(own: Mapping[str, Any], turns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of ``own``, or the sums of the turns' where those are more."""
    found = dict(own)
    for name in {name for turn in turns for name in turn}:
        parts, stated = [turn.get(name) for turn in turns], own.get(name)
        if any(isinstance(part, Mapping) for part in parts) and (stated is None or isinstance(stated, Mapping)):
            found[name] = _most(stated or {}, [part for part in parts if isinstance(part, Mapping)])
        elif stated is None or (type(stated) is int and stated >= 0):
            found[name] = max(
                [sum(part for part in parts if type(part) is int and part > 0), *([] if stated is None else [stated])]
            )
    return found
