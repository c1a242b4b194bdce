"""The question of on-call in the readiness review turns with each of its findings (X1)."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.console.readiness import duty
from app.console.readiness.answers import OLD, Evidence, State
from app.console.readiness.sources import Sources
from app.oncall.paging.figures import Figures
from app.oncall.paging.figures import Tested as PagerTest
from app.oncall.rota.night import next_night
from app.oncall.rota.reading import load_rotation
from app.oncall.rota.shifts import Duty

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
ROTATION = Path(__file__).resolve().parents[3] / "runbook/oncall/rotation.yaml"
PERSON = next(iter(load_rotation(ROTATION).people.values()))


def sources(rotation: Path = ROTATION) -> Sources:
    nothing = cast(Any, SimpleNamespace())
    values = dict.fromkeys(Sources.__dataclass_fields__, nothing) | {
        "now": NOW,
        "rotation_file": rotation,
        "state_dir": ROTATION.parent,
    }
    return Sources(**values)


@pytest.fixture
def well(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Two people on call, no hole, a test that a person answered, a self-test that passed, a page that was acknowledged."""
    monkeypatch.setattr(duty, "current", lambda rotation, *_, **__: asyncio.sleep(0, (rotation, ())))
    monkeypatch.setattr(duty, "duties", lambda *_: [on_duty(1), on_duty(2)])
    monkeypatch.setattr(duty, "problems", lambda *_, **__: [])
    monkeypatch.setattr(duty, "figures", lambda *_: asyncio.sleep(0, (figures(pages=2), ())))
    monkeypatch.setattr(duty, "newest_test", lambda _: asyncio.sleep(0, PagerTest(NOW - timedelta(days=1), True, 30.0, "Ada")))
    monkeypatch.setattr(duty, "watchdog_at", lambda _: asyncio.sleep(0, NOW - timedelta(seconds=30)))
    monkeypatch.setattr(duty, "state", lambda _: asyncio.sleep(0, switch(passed_ago=60.0)))
    return monkeypatch


def on_duty(level: int, *, person: bool = True) -> Duty:
    return Duty(level, "someone", PERSON if person else None, None, 15)


def figures(**counts: int) -> Figures:
    zeros = dict.fromkeys(Figures.__dataclass_fields__)
    return cast(Figures, SimpleNamespace(**{**zeros, "acknowledged": counts["pages"], "mtta": 60.0, **counts}))


def switch(**more: object) -> SimpleNamespace:
    return SimpleNamespace(**{"passed_ago": None, "failed": False, "slowest": 1.5, **more})


async def found(rotation: Path = ROTATION) -> dict[str, Evidence]:
    return {one.name: one for one in (await duty.answer(sources(rotation))).evidence}


async def test_all_is_proved_but_for_the_people_of_the_example(well: pytest.MonkeyPatch) -> None:
    states = {name: one.state for name, one in (await found()).items()}
    assert states.pop("Placeholders") == "gaps"
    assert set(states.values()) == {"proved"}
    assert set(states) == {"Now", "Rotation", "Pages", "Test of the pager", "Alert rules", "Kill switch"}


@pytest.mark.parametrize(("levels", "state"), [((), "failing"), ((1,), "gaps"), ((1, 2), "proved")])
async def test_a_second_person_has_to_stand_behind_the_first(
    well: pytest.MonkeyPatch, levels: tuple[int, ...], state: State
) -> None:
    well.setattr(duty, "duties", lambda *_: [*(on_duty(level) for level in levels), on_duty(3, person=False)])
    said = await duty.answer(sources())
    now = next(one for one in said.evidence if one.name == "Now")
    assert now.state == state
    assert ("No person is on call now." in said.words) == (not levels)
    assert ("no person is on call" in now.value) == (not levels)


@pytest.mark.parametrize("hour", [1, 2, 4, 23])
async def test_the_review_and_the_page_name_the_same_persons_at_night(well: pytest.MonkeyPatch, hour: int) -> None:
    """A shift may change between now and the night: 30 November at 04:00 is another duty than the next 3 a.m."""
    now = datetime(2026, 11, 30, hour, tzinfo=UTC)
    said = await duty.answer(replace(sources(), now=now))
    assert said.words.startswith(next_night(load_rotation(ROTATION), now).words)


async def test_a_hole_in_the_rotation_fails_with_its_words(well: pytest.MonkeyPatch) -> None:
    well.setattr(duty, "problems", lambda *_, **__: ["level 1 is empty on Sunday"])
    rotation = (await found())["Rotation"]
    assert (rotation.state, rotation.value) == ("failing", "level 1 is empty on Sunday")


async def test_a_rotation_that_cannot_be_read_fails(well: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert (await found(tmp_path / "none.yaml"))["Rotation"].state == "failing"


TESTED = [
    (None, "missing", "never tested"),
    (PagerTest(NOW, True, 30.0, "Ada"), "proved", "answered by Ada after 30"),
    (PagerTest(NOW - OLD - timedelta(days=1), True, 30.0, "Ada"), "stale", "answered by Ada"),
    (PagerTest(NOW, True, 30.0, "key:6f1fc3fb of acme"), "gaps", "a key names no person"),
    (PagerTest(NOW, False, 900.0), "failing", "no answer within"),
    (PagerTest(NOW, True, 30.0, "Ada", receivers=("ntfy", "webhook")), "proved", "; it was sent by ntfy and webhook"),
    (PagerTest(NOW, False, 60.0, waits=True), "gaps", "a person acknowledges it, in On-call or with octant oncall ack"),
    (PagerTest(NOW, False, duty.PATIENCE, waits=True), "failing", "no answer for"),
]


@pytest.mark.parametrize(("test", "state", "words"), TESTED)
async def test_the_pagers_test_counts_as_it_ended(
    well: pytest.MonkeyPatch, test: PagerTest | None, state: State, words: str
) -> None:
    well.setattr(duty, "newest_test", lambda _: asyncio.sleep(0, test))
    tested = (await found())["Test of the pager"]
    assert tested.state == state
    assert words in tested.value


@pytest.mark.parametrize(
    ("ago", "state", "words"),
    [
        (timedelta(0), "proved", "came 0 ms ago"),
        (timedelta(seconds=-3), "proved", "came 0 ms ago"),
        (duty.RULES_LATE - timedelta(seconds=1), "proved", "came 9 min 59 s ago"),
        (duty.RULES_LATE, "gaps", "so a fault calls no person: the watchdog alert of Prometheus last came "),
        (None, "gaps", "so a fault calls no person: the watchdog alert of Prometheus has not come"),
    ],
)
async def test_alert_rules_count_as_evaluated_while_the_watchdog_comes(
    well: pytest.MonkeyPatch, ago: timedelta | None, state: State, words: str
) -> None:
    well.setattr(duty, "watchdog_at", lambda _: asyncio.sleep(0, None if ago is None else NOW - ago))
    rules = (await found())["Alert rules"]
    assert rules.state == state
    assert words in rules.value, rules.value


async def test_a_machine_that_acknowledges_leaves_a_gap(well: pytest.MonkeyPatch) -> None:
    machine = SimpleNamespace(at=NOW, answered=True, seconds=1.0, by="the demo", waits=False, by_a_machine=True, receivers=())
    well.setattr(duty, "newest_test", lambda _: asyncio.sleep(0, machine))
    tested = (await found())["Test of the pager"]
    assert (tested.state, "no person's answer is known" in tested.value) == ("gaps", True)


@pytest.mark.parametrize(
    ("seen", "state", "words"),
    [
        (switch(), "missing", "has not passed yet"),
        (switch(passed_ago=60.0), "proved", "all workers saw a stop"),
        (switch(passed_ago=3 * 24 * 3600.0), "stale", "all workers saw a stop"),
        (switch(passed_ago=60.0, failed=True), "failing", "newest self-test failed"),
    ],
)
async def test_the_kill_switch_counts_as_its_newest_self_test_ended(
    well: pytest.MonkeyPatch, seen: SimpleNamespace, state: State, words: str
) -> None:
    well.setattr(duty, "state", lambda _: asyncio.sleep(0, seen))
    found_switch = (await found())["Kill switch"]
    assert found_switch.state == state
    assert words in found_switch.value
