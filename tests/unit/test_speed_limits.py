"""The limits that `make bench` holds in CI are ratios to the bare forward of the same run."""

from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import Misconfigured
from app.stack.commit import commit
from benchmarks import gamedays
from benchmarks.speed.report import over
from evals import baseline


def results(*, cpu: list[float], event: list[float], ready: list[float]) -> dict[str, Any]:
    """Of a service beside a forward whose every figure is 2."""
    own = [{"cpu": c, "event": e} for c, e in zip(cpu, event, strict=True)]
    forward = {"rounds": [{"cpu": 2.0, "event": 2.0} for _ in own], "ready": [2.0 for _ in ready]}
    return {"servers": {"service": {"rounds": own, "ready": ready}, "forward": forward}}


LIMITS = {"cpu": 10.0, "event": 4.0, "ready": 12.0}


def test_without_git_the_results_are_kept_without_their_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They are written after an hour of measurements."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit() == ""
    assert baseline._git(tmp_path / "baseline.json", "log") == b""
    with pytest.raises(Misconfigured, match="Name a scenario"):
        gamedays._commits()


def test_ratios_within_their_limits_say_nothing() -> None:
    assert over(results(cpu=[20.0, 15.0], event=[8.0, 8.0], ready=[24.0]), LIMITS, "service", "forward") == []


@pytest.mark.parametrize("figure", ["cpu", "event", "ready"])
def test_a_ratio_above_its_limit_each_time_fails(figure: str) -> None:
    figures = {"cpu": [2.0, 2.0], "event": [2.0, 2.0], "ready": [2.0, 2.0]}
    figures[figure] = [30.0, 40.0]
    (sentence,) = over(results(**figures), LIMITS, "service", "forward")
    assert "15.00, 20.00 to 1" in sentence
    assert f"more than {LIMITS[figure]:g}" in sentence


def test_a_ratio_above_its_limit_once_is_a_disturbance() -> None:
    assert over(results(cpu=[99.0, 14.0], event=[99.0, 2.0], ready=[99.0, 2.0]), LIMITS, "service", "forward") == []
