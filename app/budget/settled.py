"""Calls that were settled a moment ago: where Valkey loses them, and the ledger may not have them yet, they are sent again.

A busy worker settles more than a thousand a second. Each batch is kept as compressed text: some 100 bytes a call, where the
call's own objects take 700 and the collector walks through them.
"""

import json
import time
import zlib
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from app.domain.json_text import compact

RESENT_SECONDS = 30.0  # settlements this recent are sent again after a loss: the ledger may not have them yet
FASTEST = 1  # of zlib's levels: ids are most of what is left, and no level makes them smaller


class Settlement(NamedTuple):
    """A call's settlement: its shard, and the keys and arguments that ``settle.lua`` had."""

    shard: int
    keys: Sequence[str]
    arguments: Sequence[Any]


class _Batch(NamedTuple):
    at: float
    shards: frozenset[int]
    text: bytes


class Settled:
    """The calls that were settled lately, in the order of their settlement."""

    def __init__(self) -> None:
        """None yet."""
        self._recent: deque[_Batch] = deque()
        self._of_lost: list[_Batch] = []  # older ones, of shards that have lost their counters since

    def note(self, settlements: Sequence[Settlement]) -> None:
        """Keep these: they are settled now."""
        shards = frozenset(settlement.shard for settlement in settlements)
        self._recent.append(_Batch(time.monotonic(), shards, zlib.compress(compact(settlements), FASTEST)))

    def forget(self, lost: Collection[int]) -> None:
        """Forget what was settled a while ago, but for the shards that are ``lost``: the others' ledger has had the time."""
        while self._recent and self._recent[0].at < time.monotonic() - RESENT_SECONDS:
            self._of_lost.append(self._recent.popleft())
        # Of a batch too: sent once the ledger's recent entries do not reach back to them, its other shards' would count twice.
        left = ((batch, batch.shards.intersection(lost)) for batch in self._of_lost)
        self._of_lost = [batch._replace(shards=shards) for batch, shards in left if shards]

    def of(self, shard: int) -> Iterator[list[Settlement]]:
        """Those of a shard that are known now, a batch at a time."""
        for batch in [*self._of_lost, *self._recent]:
            if shard in batch.shards:
                every = (Settlement(*each) for each in json.loads(zlib.decompress(batch.text)))
                yield [settlement for settlement in every if settlement.shard == shard]
