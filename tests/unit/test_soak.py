"""A soak fails where memory or open files go on growing, and not while caches fill."""

from typing import cast

import psutil
import pytest

from benchmarks.speed import load
from benchmarks.speed.measure import Plan
from benchmarks.speed.processes import Server
from benchmarks.speed.soak import Sample, flat, soak, table


@pytest.mark.parametrize(
    ("memory", "files", "expected"),
    [
        ([100, 150, 180, 180, 181, 180, 182, 181, 180, 182], [20] * 10, True),
        ([100, 110, 120, 130, 140, 150, 160, 170, 180, 190], [20] * 10, False),
        ([150, 155, 160, 163, 166, 169, 172, 175, 178, 181], [20] * 10, False),
        ([180] * 10, [20, 20, 20, 20, 21, 22, 23, 24, 25, 26], False),
    ],
)
def test_only_what_goes_on_growing_is_not_flat(memory: list[float], files: list[int], expected: bool) -> None:
    samples = [Sample(number, used, 0, opened) for number, (used, opened) in enumerate(zip(memory, files, strict=True))]
    assert flat(samples) is expected


def test_a_worker_that_is_too_large_is_no_success() -> None:
    assert not flat([Sample(number, 180, worker, 20) for number, worker in enumerate([190] * 9 + [201])])


@pytest.mark.parametrize("number", [0, 1, 2, 9])
def test_few_samples_show_nothing(number: int) -> None:
    samples = [Sample(one, 100, 90, 20) for one in range(number)]
    assert not flat(samples)
    assert f"Only {number} samples" in table(samples)
    assert "Only" not in table([*samples, *(Sample(one, 100, 90, 20) for one in range(10))])


class Died:
    """A server that has ended."""

    url, headers = "", dict[str, str]()

    def memory(self) -> float:
        raise psutil.NoSuchProcess(1)


class Mute(Died):
    """A server that runs and answers nothing."""

    def memory(self) -> float:
        return 1.0

    def largest(self) -> float:
        return 1.0

    def files(self) -> int:
        return 1


@pytest.mark.parametrize(("server", "answered"), [(Died(), 5), (Mute(), 0)])
def test_a_server_that_dies_ends_the_soak_with_a_plain_message(
    server: Died, answered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "saturate", lambda *_, **__: load.Saturated(answered, 2.0))
    with pytest.raises(SystemExit, match="answers no more"):
        soak(cast("Server", server), Plan(), 100)
