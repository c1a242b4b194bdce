"""Degrade a call over a cap, step by step, before it is refused (C4). The manifest lists a route's steps.

::

    truncate     the oldest turns go; never the system prompt, never the last turn, a tool's call and its result together
    shorten      fewer output tokens, down to ``shorten_to``
    cheaper      the models of ``cheaper`` answer
    no retries   only the models that fit, one attempt each
    no dear      without the fallbacks that do not fit, where the first model does; no manifest has to allow it
    refuse

Each step keeps those before it. The ``octant-degraded`` header reports the steps taken.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from app.domain.messages import Message, ToolResult
from app.domain.routes import Target
from app.gateway.call_state import CallState
from app.gateway.rendering import SHORTENED

TRUNCATED, CHEAPER, NO_RETRIES, NO_DEAR = "context_truncated", "cheaper_model", "no_retries", "fallbacks_left_out"

OnlyCapable = Callable[[Sequence[Target]], tuple[Target, ...]]


def degrade(state: CallState, room: int, capable: OnlyCapable) -> bool:
    """Change the call until its worst first attempt fits into ``room`` micro-dollars, as far as its route allows.

    ``capable`` filters out targets that cannot serve the request. Returns whether the call fits; if not, nothing was changed.
    """
    before = (state.request, state.pin, state.targets, list(state.degraded))
    for step in _steps(state, room, capable):
        if step not in state.degraded:
            state.degraded.append(step)
        if state.worst_first_attempt() <= room:
            return True
    request, state.pin, state.targets, state.degraded = before
    state.change(request)
    return False


def _steps(state: CallState, room: int, capable: OnlyCapable) -> Iterator[str]:
    """Take one step after the other; yields the name of each that changed something."""
    allowed = state.pin.route.degrade
    if allowed.truncate and _truncate(state, room):
        yield TRUNCATED
    if allowed.shorten_to and _shorten(state, room, allowed.shorten_to):
        yield SHORTENED
    if cheaper := capable(allowed.cheaper):
        state.targets = cheaper
        yield CHEAPER
    if allowed.no_retries:
        state.pin = replace(state.pin, route=replace(state.pin.route, attempts_per_target=1))
        state.targets = tuple(t for t in state.targets if state.worst_case(t) <= room) or state.targets
        yield NO_RETRIES
    fitting = tuple(t for t in state.targets if state.worst_case(t) <= room)
    if fitting and fitting[0] == state.targets[0]:
        state.targets = fitting
        yield NO_DEAR


def _truncate(state: CallState, room: int) -> bool:
    """Drop the oldest turns: as few as needed, else all but the last. The prompt's own message stays."""
    messages = state.request.messages
    starts = [] if state.pin.prompt else [i for i in range(1, len(messages)) if _begins_a_turn(messages[i])]
    for start in starts:
        state.change(replace(state.request, messages=messages[start:]))
        if state.worst_first_attempt() <= room:
            break
    return bool(starts)


def _begins_a_turn(message: Message) -> bool:
    return message.role == "user" and not any(isinstance(part, ToolResult) for part in message.parts)


def _shorten(state: CallState, room: int, least: int) -> bool:
    """Shorten the output to the most tokens that fit, at least ``least``. A call that thinks keeps its length."""
    sampling = state.request.sampling
    longest = sampling.max_output_tokens or 0
    if longest <= least or "thinking" in state.request.requested:
        return False
    low, high = least, longest
    while low < high:
        middle = (low + high + 1) // 2
        state.change(replace(state.request, sampling=replace(sampling, max_output_tokens=middle)))
        low, high = (middle, high) if state.worst_first_attempt() <= room else (low, middle - 1)
    state.change(replace(state.request, sampling=replace(sampling, max_output_tokens=low)))
    return True
