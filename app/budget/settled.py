"""Calls that were settled a moment ago: where Valkey loses them, and the ledger may not have them yet, they are sent again."""

import time
from collections import deque
from collections.abc import Collection, Iterator

from app.budget.hold import Hold

RESENT_SECONDS = 30.0  # settlements this recent are sent again after a loss: the ledger may not have them yet


class Settled:
    """The holds that were paid and settled lately, in the order of their settlement."""

    def __init__(self) -> None:
        """None yet."""
        self._recent: deque[tuple[float, list[Hold]]] = deque()
        self._of_lost: list[Hold] = []  # older ones, of shards that have lost their counters since

    def note(self, holds: list[Hold]) -> None:
        """Keep these: they are settled now."""
        self._recent.append((time.monotonic(), holds))

    def forget(self, lost: Collection[int]) -> None:
        """Forget what was settled a while ago, but for the shards that are ``lost``: the others' ledger has had the time."""
        self._of_lost = [hold for hold in self._of_lost if hold.shard in lost]
        while self._recent and self._recent[0][0] < time.monotonic() - RESENT_SECONDS:
            self._of_lost += [hold for hold in self._recent.popleft()[1] if hold.shard in lost]

    def of(self, shard: int) -> Iterator[Hold]:
        """Those of a shard."""
        yield from (hold for hold in self._of_lost if hold.shard == shard)
        yield from (hold for _, holds in self._recent for hold in holds if hold.shard == shard)
