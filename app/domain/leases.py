"""Claims that end by themselves: what holds one renews it, and whatever ends the holder ends the claim."""

import time
from collections.abc import Callable


class Leases:
    """Leases by name. Times are seconds on the monotonic clock."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """None is held yet."""
        self._now = now
        self._ends: dict[str, float] = {}

    def take(self, name: str, seconds: float) -> None:
        """Begin a lease, or begin it anew."""
        self._ends[name] = self._now() + seconds

    def renew(self, name: str, seconds: float) -> bool:
        """Prolong a lease. False for one that has ended: it does not come back by itself."""
        if not self.live(name):
            return False
        self.take(name, seconds)
        return True

    def drop(self, name: str) -> None:
        """End a lease; one that is not there is none."""
        self._ends.pop(name, None)

    def live(self, name: str) -> bool:
        """Whether a lease is held now."""
        return self._ends.get(name, 0.0) > self._now()
