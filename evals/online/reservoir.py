"""A fair sample of a stream of unknown length, in the memory of the sample."""

import random
from typing import Generic, TypeVar

T = TypeVar("T")


class Reservoir(Generic[T]):
    """Algorithm R (J. S. Vitter, "Random Sampling with a Reservoir", ACM TOMS 11(1), 1985).

    After n offers each of them is in it with the chance ``size`` / n.
    """

    def __init__(self, size: int, chance: random.Random) -> None:
        """``size``: how many it holds at most."""
        self._size = size
        self._chance = chance
        self.offered = 0
        self.held: list[T] = []

    def offer(self, item: T) -> None:
        """Offer the next of the stream."""
        self.offered += 1
        if len(self.held) < self._size:
            self.held.append(item)
        elif (place := self._chance.randrange(self.offered)) < self._size:
            self.held[place] = item

    @property
    def passed_over(self) -> int:
        """How many it was offered and does not hold."""
        return self.offered - len(self.held)
