"""A request and its answer, as both wires share them: a conversation, tools, a schema, limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.simulator.caching import Prefixes


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn. ``calls`` are (id, name, arguments) of an assistant's tool calls; ``results`` are (id, text) of tools."""

    role: str
    text: str
    calls: tuple[tuple[str, str, Mapping[str, Any]], ...] = ()
    results: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ToolOffer:
    """A tool on offer and the JSON Schema of its arguments."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request to a model. ``json_object``: any one JSON object is wanted."""

    model: str
    system: str
    turns: tuple[Turn, ...]
    tools: tuple[ToolOffer, ...] = ()
    must_call: str | None = None
    may_call: bool = True
    schema: Mapping[str, Any] | None = None
    json_object: bool = False
    max_tokens: int = 4096
    stop: tuple[str, ...] = ()
    stream: bool = False
    include_usage: bool = False
    think: bool = False
    prefixes: Prefixes = field(default_factory=Prefixes)

    @property
    def last_user_text(self) -> str:
        """The user's last text."""
        return next((t.text for t in reversed(self.turns) if t.role == "user" and t.text), "")

    @property
    def answered(self) -> bool:
        """Whether the conversation's last turn is a tool's answer."""
        return bool(self.turns) and bool(self.turns[-1].results)

    @property
    def results_since(self) -> int:
        """How many tool calls were answered since the user's last request."""
        last = max((i for i, t in enumerate(self.turns) if t.role == "user" and t.text and not t.results), default=0)
        return sum(len(t.results) for t in self.turns[last:])

    @property
    def request(self) -> str:
        """The user's last text that did not come with a tool's answer."""
        return next((t.text for t in reversed(self.turns) if t.role == "user" and t.text and not t.results), "")

    @property
    def results(self) -> tuple[tuple[str, str, Mapping[str, Any]], ...]:
        """(tool name, its answer, its arguments) for every tool call answered so far, oldest first."""
        calls = {c[0]: c for t in self.turns for c in t.calls}
        return tuple((calls[i][1], text, calls[i][2]) for t in self.turns for i, text in t.results if i in calls)


@dataclass(slots=True)
class Answer:
    """The answer. ``calls`` are (name, arguments). The cached and written tokens are shares of the input's."""

    text: str = ""
    thinking: str = ""
    calls: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    stop: str = "end"
    stop_sequence: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0
    written_tokens_1h: int = 0
