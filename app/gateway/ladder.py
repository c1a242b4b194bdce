"""Over the cap: what a call gives up, step by step, before it is refused (C4). A route's manifest says which steps it may take.

::

    truncate     the oldest turns go; never the system prompt, never the last turn, a tool's call and its result together
    shorten      fewer output tokens, down to ``shorten_to``
    cheaper      the models of ``cheaper`` answer
    no retries   only the models that fit, each asked once
    refuse

Each step keeps those before it. A step taken is told to the caller in ``octant-degraded``.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from app.domain.messages import Message, ToolResult
from app.domain.routes import Target
from app.gateway.passage import Passage

TRUNCATED, SHORTENED, CHEAPER, NO_RETRIES = "context_truncated", "output_shortened", "cheaper_model", "no_retries"

Able = Callable[[Sequence[Target]], tuple[Target, ...]]


def descend(passage: Passage, room: int, able: Able) -> bool:
    """Change the call until its worst first attempt fits into ``room`` micro-dollars, as far as its route allows.

    ``able`` leaves out the targets that cannot do what the caller asks. Returns whether it fits; if not, nothing was changed.
    """
    before = (passage.request, passage.pin, passage.targets, list(passage.degraded))
    for word in _steps(passage, room, able):
        if word not in passage.degraded:
            passage.degraded.append(word)
        if passage.worst_first_attempt() <= room:
            return True
    request, passage.pin, passage.targets, passage.degraded = before
    passage.change(request)
    return False


def _steps(passage: Passage, room: int, able: Able) -> Iterator[str]:
    """Take one step after the other; yields the word of each that changed something."""
    rungs = passage.pin.route.degrade
    if rungs.truncate and _truncate(passage, room):
        yield TRUNCATED
    if rungs.shorten_to and _shorten(passage, room, rungs.shorten_to):
        yield SHORTENED
    if cheaper := able(rungs.cheaper):
        passage.targets = cheaper
        yield CHEAPER
    if rungs.no_retries:
        passage.pin = replace(passage.pin, route=replace(passage.pin.route, attempts_per_target=1))
        passage.targets = tuple(t for t in passage.targets if passage.worst_case(t) <= room) or passage.targets
        yield NO_RETRIES


def _truncate(passage: Passage, room: int) -> bool:
    """Drop the oldest turns: as few as make it fit, else all but the last. A prompt's own message is no turn."""
    messages = passage.request.messages
    starts = [] if passage.pin.prompt else [i for i in range(1, len(messages)) if _begins_a_turn(messages[i])]
    for start in starts:
        passage.change(replace(passage.request, messages=messages[start:]))
        if passage.worst_first_attempt() <= room:
            break
    return bool(starts)


def _begins_a_turn(message: Message) -> bool:
    return message.role == "user" and not any(isinstance(part, ToolResult) for part in message.parts)


def _shorten(passage: Passage, room: int, least: int) -> bool:
    """The most output tokens that fit, and ``least`` if none do. A call that thinks keeps its own: thinking needs the length."""
    sampling = passage.request.sampling
    longest = sampling.max_output_tokens or 0
    if longest <= least or "thinking" in passage.request.asked:
        return False
    low, high = least, longest
    while low < high:
        middle = (low + high + 1) // 2
        passage.change(replace(passage.request, sampling=replace(sampling, max_output_tokens=middle)))
        low, high = (middle, high) if passage.worst_first_attempt() <= room else (low, middle - 1)
    passage.change(replace(passage.request, sampling=replace(sampling, max_output_tokens=low)))
    return True
