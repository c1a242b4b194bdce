"""Work in proportion to the input, however fast the machine is."""

import sys
import time
from collections.abc import Callable
from types import FrameType


def calls_of(work: Callable[[], object]) -> int:
    """How many functions are called, those of C included."""
    counted = 0

    def count(_frame: FrameType, event: str, _about: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted


def is_linear(work: Callable[[int], object], size: int) -> bool:
    """Whether eight times the size takes about eight times the CPU time, and not sixty-four times.

    The least of three counts, since collecting a test run's garbage is not ours.
    """

    def seconds(size: int) -> float:
        began = time.thread_time()
        work(size)
        return time.thread_time() - began

    seconds(size)
    shorter, longer = (min(seconds(times * size) for _ in range(3)) for times in (1, 8))
    return longer < 0.02 + 25 * shorter
