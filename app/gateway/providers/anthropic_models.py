"""What each of Claude's models takes of thinking, forced tool calls, begun answers and late instructions. Pure.

A caller names an alias, so it cannot know the model that a request reaches. Its wish is written here as that model takes it:

- Thinking with a budget is adaptive thinking since Claude 4.7; before Claude 4.6 it was the only kind.
- Thinking that is off is left out where a model always thinks, with the least effort; Claude Sonnet 5.5 has a word of its own.
- A tool that must be called is asked for in words since Claude 5.5; `recovery.output` checks whole answers.
- An answer that the caller has begun is continued at its request since Claude 4.6.
- Instructions after the first turn keep their place since Claude Opus 4.8 and Claude 5, but Claude Sonnet 5 does not follow them
  there. They join the system prompt of any other.
- Thinking of an earlier turn is bound to all that stood before it since Claude 5.1. Here that may change: another model answered,
  a tool went, a sentence came. So thinking that fails the check is dropped, unless the caller wants the refusal.

A model whose name tells no version takes a request as it is. Source: platform.claude.com/docs, "Troubleshooting thinking",
"Preserved thinking", "Mid-conversation system messages" and "What's new in Claude Sonnet 5.5".
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.domain.messages import ToolChoice
from app.gateway.providers.forced_calls import in_words

Json = dict[str, Any]
Version = tuple[int, int]

NAME = re.compile(r"claude-(?P<family>[a-z]+)-(?P<major>\d{1,2})(?:-(?P<minor>\d{1,2}))?(?!\d)")
LEAST_BUDGET, LARGE_BUDGET = 1024, 32_000  # tokens
ALWAYS_THINKING: Mapping[str, Version] = {"opus": (5, 5), "fable": (5, 0), "mythos": (5, 0)}
NEVER_FORCED: Mapping[str, Version] = {"opus": (5, 5), "sonnet": (5, 5), "fable": (5, 1), "mythos": (5, 1)}
CALMER = {"xhigh": "high", "max": "high"}  # the most effort with which thinking can be off
BINDING_BETA, BINDING = "thinking-binding-controls-2026-08-01", "prefix_mismatch_behavior"
THOUGHTS = frozenset({"thinking", "redacted_thinking"})
BEGUN = frozenset({"text", "thinking", "redacted_thinking"})

GO_ON = "Go on exactly where your last turn stops. Repeat nothing, explain nothing."


@dataclass(frozen=True, slots=True)
class Traits:
    """What a model takes. ``off``: its word for no thinking; None where it always thinks. ``bound``: its thinking is.

    ``late``: instructions may be.
    """

    budget: bool = True
    adaptive: bool = True
    off: Literal["disabled", "between_tools"] | None = "disabled"
    calm_off: bool = False
    forced: bool = True
    begun: bool = True
    bound: bool = False
    late: bool = True


@functools.lru_cache(maxsize=256)
def traits(model: str) -> Traits | None:
    """The traits of a model by its name; None where that tells no version."""
    found = NAME.search(model)
    if found is None:
        return None
    family, version = found["family"], (int(found["major"]), int(found["minor"] or 0))
    off: Literal["disabled", "between_tools"] | None = "disabled"
    if family in ALWAYS_THINKING and version >= ALWAYS_THINKING[family]:
        off = None
    elif family == "sonnet" and version >= (5, 5):
        off = "between_tools"
    return Traits(
        budget=version < (4, 7),
        adaptive=version >= (4, 6),
        off=off,
        calm_off=version >= (5, 0),
        forced=family not in NEVER_FORCED or version < NEVER_FORCED[family],
        begun=version < (4, 6),
        bound=version >= (5, 1),
        late=version >= (4, 8) and (family, version) != ("sonnet", (5, 0)),
    )


def thinking(model: str, extra: Mapping[str, Any], longest: int) -> tuple[Json | None, str | None]:
    """Thinking and effort of a request (``extra`` of its sampling) as ``model`` takes them.

    ``longest``: the output limit, which the route may have lowered; a budget stays below it.
    """
    wanted: Json = dict(extra.get("thinking") or {})
    effort: str | None = extra.get("effort")
    known = traits(model)
    kind = wanted.get("type")
    if known and kind in ("disabled", "between_tools"):
        return _off(known, effort)
    if known and kind == "enabled" and not known.budget:
        wanted = {"display": "summarized", **wanted, "type": "adaptive"}  # with a budget, thinking was shown
        wanted.pop("budget_tokens", None)
    elif known and kind == "adaptive" and not known.adaptive:
        if longest <= LEAST_BUDGET:
            return None, effort
        wanted = {"type": "enabled", "budget_tokens": max(LEAST_BUDGET, min(longest // 2, LARGE_BUDGET))}
    if budget := wanted.get("budget_tokens"):
        wanted["budget_tokens"] = min(budget, longest - 1)
    return wanted or None, effort


def _off(known: Traits, effort: str | None) -> tuple[Json | None, str | None]:
    if known.off is None:
        return None, effort or "low"
    return {"type": known.off}, CALMER.get(effort or "", effort) if known.calm_off else effort


def unbound(model: str, wanted: Json | None, turns: list[Json]) -> Json | None:
    """Thinking as `thinking` gives it, so that the thinking of an earlier turn is dropped where it fails the check."""
    known, sent = traits(model), wanted or {"type": "adaptive"}
    if known is None or not known.bound or sent["type"] != "adaptive":
        return wanted
    if not any(block["type"] in THOUGHTS for turn in turns for block in turn["content"]):
        return wanted
    binding = dict(sent.get("block_binding") or {})
    return {**sent, "block_binding": {**binding, BINDING: binding.get(BINDING) or "drop_block"}}


def managed(model: str, native: Json, sent: Json | None) -> Json:
    """A request's own fields, without an edit that clears thinking where there is none: Claude refuses it.

    ``sent``: its thinking, as the model gets it; a route's limit may have left none. Newer models think where nothing is sent.
    """
    known, wanted = traits(model), native.get("context_management") or {}
    thinks = sent["type"] != "disabled" if sent else known is None or known.bound
    kept = [edit for edit in wanted.get("edits") or () if not str(edit.get("type")).startswith("clear_thinking")]
    if thinks or len(kept) == len(wanted.get("edits") or ()):
        return native
    rest = {name: value for name, value in native.items() if name != "context_management"}
    return {**rest, "context_management": {**wanted, "edits": kept}} if kept else rest


def choice(model: str, wanted: ToolChoice) -> tuple[ToolChoice, str | None]:
    """The choice among tools as ``model`` takes it, and the sentence for its instructions that stands for the rest."""
    known = traits(model)
    return (wanted, None) if known is None or known.forced else in_words(wanted)


def instructed(model: str, turns: list[Json]) -> tuple[list[Json], list[Json]]:
    """The instructions of ``turns`` that belong to the system prompt of ``model``, and the other turns."""
    known = traits(model)
    if known is None or known.late:
        return [], turns
    late = [block for turn in turns if turn["role"] == "system" for block in turn["content"]]
    return late, [turn for turn in turns if turn["role"] != "system"]


def continued(model: str, turns: list[Json]) -> list[Json]:
    """The turns; where the last is an answer that the caller has begun, with the request to go on as ``model`` takes it."""
    known = traits(model)
    if known is None or known.begun or not turns or turns[-1]["role"] != "assistant":
        return turns
    if any(block["type"] not in BEGUN for block in turns[-1]["content"]):
        return turns  # a paused turn of the vendor's own tools goes on as it is
    return [*turns, {"role": "user", "content": [{"type": "text", "text": GO_ON}]}]
