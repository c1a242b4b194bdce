"""How a model answers for a product: the rules that a product brings. Where none has an answer, the simulator's own hold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.simulator.request import Ask

Call = tuple[str, Mapping[str, Any]]


def _no_calls(_: Ask) -> Sequence[Call]:
    return ()


def _no_text(_: Ask) -> str | None:
    return None


def _no_value(_name: str, _text: str) -> str | None:
    return None


def _no_values(_name: str, _text: str) -> Sequence[str] | None:
    return ()


def _no_pretext(_: str) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A product's rules. Each answers nothing for a request that is not the product's.

    ``calls`` are the tools to call now; ``text`` is what to say. ``value`` fills a schema's field, by its name, from a text: None
    where it does not know the field, empty where the text has no value for it. ``values`` does it for a field that is a list of
    strings, with None or nothing where it knows none. ``synonyms`` are words that speak for a value of an enum. The rest is for
    the model that obeys every injection: a ``pretext`` from what it read, so that harm passes for an answer; ``last_tools``,
    which end a conversation; ``hosts``, which it imitates because answers may link to them.
    """

    calls: Callable[[Ask], Sequence[Call]] = _no_calls
    text: Callable[[Ask], str | None] = _no_text
    value: Callable[[str, str], str | None] = _no_value
    values: Callable[[str, str], Sequence[str] | None] = _no_values
    synonyms: Mapping[str, str] = field(default_factory=dict)
    pretext: Callable[[str], str] = _no_pretext
    last_tools: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
