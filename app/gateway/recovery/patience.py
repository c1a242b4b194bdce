"""Head starts: how long a target may be silent, learned from its own answers.

Silence is not failure: nothing is cut off. The next target starts, the first to answer wins, the other is cancelled. So an
estimate that is too short costs money and never an answer. It is twice the 95th percentile of the last answers (Dean and
Barroso, "The Tail at Scale", 2013): at most one call in twenty of a healthy target is sent twice.

Kept by each worker, apart for whole answers (the time to all of it) and streams (the time to the first token).
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.domain.routes import Target

COLD = 5.0  # seconds, as long as too few answers are known
LEAST = 1.0  # seconds: below it, a pause of the network or of the collector would look like silence
FACTOR = 2.0
SHARE = 0.95
REMEMBERED = 200  # answers
ENOUGH = 10  # answers
RECKON_EVERY = 10  # answers: sorting at each one would cost more than it shows


@dataclass(slots=True)
class _Seen:
    """The last answers of one target, in seconds, and what ``SHARE`` of them stayed within."""

    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    since: int = 0
    usual: float | None = None

    def note(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.since += 1
        if len(self.seconds) >= ENOUGH and (self.usual is None or self.since >= RECKON_EVERY):
            self.since, self.usual = 0, _quantile(self.seconds)


@dataclass(slots=True)
class Patience:
    """See the module. Nothing here waits."""

    _seen: dict[tuple[Target, bool], _Seen] = field(default_factory=dict)

    def note(self, target: Target, seconds: float, *, stream: bool) -> None:
        """Learn from an answer: how long all of it took, or of a stream its first token."""
        self._seen.setdefault((target, stream), _Seen()).note(seconds)

    def usual(self, target: Target, *, stream: bool) -> float | None:
        """Seconds within which nearly every answer came; None while too few are known."""
        seen = self._seen.get((target, stream))
        return seen.usual if seen else None

    def head_start(self, target: Target, *, stream: bool, first_token: float) -> float:
        """Seconds of silence after which the next target is tried. ``first_token``: the route's limit, if nothing is known."""
        usual = self.usual(target, stream=stream)
        return min(COLD, first_token) if usual is None else max(LEAST, FACTOR * usual)


def _quantile(seconds: Sequence[float]) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * SHARE))]
