"""A soak fails where memory or open files go on growing, and not while caches fill."""

import pytest

from benchmarks.speed.soak import Sample, flat


@pytest.mark.parametrize(
    ("memory", "files", "expected"),
    [
        ([100, 150, 180, 180, 181, 180, 182, 181, 180, 182], [20] * 10, True),
        ([100, 110, 120, 130, 140, 150, 160, 170, 180, 190], [20] * 10, False),
        ([180] * 10, [20, 20, 20, 20, 21, 22, 23, 24, 25, 26], False),
    ],
)
def test_only_what_goes_on_growing_is_not_flat(memory: list[float], files: list[int], expected: bool) -> None:
    samples = [Sample(number, used, opened) for number, (used, opened) in enumerate(zip(memory, files, strict=True))]
    assert flat(samples) is expected
