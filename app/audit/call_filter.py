"""A search for calls: the one list of its fields. The CLI's options and the admin API's query parameters are made from it.

Nothing heavy is imported: `octant --help` needs the fields and no database.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from app.domain.errors import InvalidRequest
from app.domain.money import MICROS_PER_DOLLAR

Sort = Literal["at", "latency_ms", "cost"]
SORTS: tuple[str, ...] = get_args(Sort)
RANGES = (
    "latency_ms", "ttft_ms", "overhead_ms", "cost", "held", "fallbacks", "input_tokens", "output_tokens", "cached_input_tokens",
    "cache_write_tokens", "reasoning_tokens",
)  # fmt: skip
MONEY = ("cost", "held")
LONGEST_TEXT = 1000
Bounds = tuple[float | None, float | None]


class About:
    """Describes a field. ``options``: the CLI's, where its name does not give them; ``most``: characters in the API."""

    def __init__(self, text: str, *options: str, most: int | None = None) -> None:
        """``text``: the help."""
        self.text = text
        self.options = options
        self.most = most


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """The conditions of a search; None does not restrict. ``text`` is searched in request, response and errors.

    It reads as in a web search: all words must occur, ``"quoted words"`` together, ``-word`` not at all; case does not matter.
    ``ranges``: by field of `RANGES`, least and most, both included; money in micro-dollars. ``failed``: the outcome is
    neither ``ok`` nor one of `NO_MODEL`; False: it is ``ok``. ``refused``: a part of the failed ones, on purpose
    (`REFUSALS`). ``needed_model``: the outcome is none of `NO_MODEL`. ``after``: a cursor (`cursor_of`), from which on to go on
    in the same order. People do not search by fields without a description: `bounds_of` makes ``ranges``, and each caller limits
    its pages itself.
    """

    id: str | None = None
    tenant: Annotated[str | None, About("Tenant id.")] = None
    user: Annotated[str | None, About("End user, as redacted in the record.")] = None
    key_id: Annotated[str | None, About("Id of an API key, as `octant key list` shows it.", "--key")] = None
    feature: Annotated[str | None, About("For instance support.answer.")] = None
    target: Annotated[str | None, About("The target that was called: a model's alias or a prompt.")] = None
    outcome: Annotated[str | None, About("`ok` or an error's code.")] = None
    failed: Annotated[bool | None, About("Whether it failed: not `ok`, `no_evidence`, `replayed`.", "--failed/--ok")] = None
    refused: Annotated[
        bool | None, About("Whether a cap, a rate limit or an operator's stop refused it.", "--refused/--not-refused")
    ] = None
    needed_model: Annotated[
        bool | None, About("Whether it needed a model: not `no_evidence`, `replayed`.", "--needed-model/--without-model")
    ] = None
    provider: Annotated[str | None, About("Provider that answered last.")] = None
    tried: Annotated[str | None, About("Provider that got an attempt, whether it answered or failed.")] = None
    attempt: Annotated[
        str | None, About("How an attempt ended, `ok` or an error's code; with --tried, one at that provider.")
    ] = None
    model: Annotated[str | None, About("Model called last.")] = None
    model_answered: Annotated[str | None, About("Version that answered, as the provider reports it.")] = None
    release: Annotated[str | None, About("Release id.")] = None
    prompt: Annotated[str | None, About("Prompt, as support/answer.")] = None
    prompt_version: Annotated[str | None, About("Its version, as v2.")] = None
    degraded: Annotated[str | None, About("A code of the header octant-degraded.")] = None
    stream: Annotated[bool | None, About("Streams, or whole answers.", "--stream/--whole")] = None
    request_id: Annotated[str | None, About("As in the x-request-id header.")] = None
    trace_id: Annotated[str | None, About("32 hexadecimal digits.")] = None
    text: Annotated[str | None, About('Words in request, response or errors; "quoted words" as a phrase.', most=LONGEST_TEXT)] = (
        None
    )
    since: Annotated[datetime | None, About("A time such as 2026-11-23T14:00, or an age such as 15m, 2h, 7d.")] = None
    until: Annotated[datetime | None, About("As --since.")] = None
    sort: Annotated[Sort, About("at, latency_ms or cost.")] = "at"
    ascending: Annotated[bool, About("The oldest, quickest or cheapest first.", "--ascending")] = False
    after: Annotated[str | None, About("The cursor that the page before ended with.")] = None
    ranges: Mapping[str, Bounds] = field(default_factory=dict)
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Searched:
    """One field that people search by."""

    name: str
    type: Any
    default: Any
    about: About


def searched() -> Iterator[Searched]:
    """The fields that people search by, in order."""
    hints = get_type_hints(CallFilter, include_extras=True)
    for field_ in fields(CallFilter):
        if get_origin(hint := hints[field_.name]) is Annotated:
            kind, about = get_args(hint)
            yield Searched(field_.name, kind, field_.default, about)


def bounds_of(at_least: Sequence[str], at_most: Sequence[str]) -> dict[str, Bounds]:
    """Read bounds as people write them: ``latency_ms=500``, money in dollars as ``cost=0.01``. Raises InvalidRequest."""
    found: dict[str, Bounds] = {}
    for place, texts in enumerate((at_least, at_most)):
        for bound in texts:
            name, _, number = bound.partition("=")
            try:
                value = float(number) * (MICROS_PER_DOLLAR if name in MONEY else 1)
            except ValueError:
                value = math.nan
            if name not in RANGES or not math.isfinite(value):
                param = ("at_least", "at_most")[place]
                raise InvalidRequest(f"Not a bound: give FIELD=NUMBER with one of {', '.join(RANGES)}.", param=param)
            before = found.get(name, (None, None))
            found[name] = (value, before[1]) if place == 0 else (before[0], value)
    return found
