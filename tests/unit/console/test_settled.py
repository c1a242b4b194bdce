"""What an action's page was about is what happens, or nothing: another operator may have acted since it was opened."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.console import release_actions, release_change
from app.console.acting import Act
from app.console.console import Console
from app.console.gameday_actions import actions as gameday_actions
from app.console.release_actions import actions as release_actions_of
from app.console.stop_actions import actions as stop_actions
from app.domain.errors import InvalidRequest
from app.oncall.gamedays import playing
from app.oncall.held import Stop
from app.releases.refusal import Refusal
from app.releases.way_back import WayBack

Values = Mapping[str, str]


async def opened_again(act: Act, values: dict[str, str]) -> dict[str, str]:
    """The values that the form sends back after its page was shown."""
    return {**dict.fromkeys(act.fields, ""), **values, **(await act.ask(values)).settled}


def console_of(**parts: Any) -> Console:  # noqa: ANN401 - of the console
    return cast("Console", SimpleNamespace(parts=SimpleNamespace(**parts)))


class Trials:
    """Releases with one canary."""

    known = "live"

    def __init__(self) -> None:
        self.trial = "first"

    async def canary(self) -> Any:  # noqa: ANN401 - a canary and its judgement
        one = SimpleNamespace(release=self.trial, against="live", share=0.1)
        return one, SimpleNamespace(why="", verdict="promote")

    async def lacking(self, _: str) -> list[str]:
        return []

    async def refusal(self, release: str) -> Refusal:
        return (
            Refusal(release, ["a: 10 points below", "b: 1 point below"], "good", "live", by_force=True)
            if release == "bad"
            else Refusal(release)
        )

    async def traffic(self) -> dict[str, object]:
        return {}

    async def find(self, _: str) -> Any:  # noqa: ANN401 - a release
        return SimpleNamespace(release=None, problem="")

    async def rollback(self, **how: object) -> str:
        self.done = how
        return str(how["to"])

    async def reports(self) -> list[str]:
        return ["w0"]


@pytest.fixture
def releases(monkeypatch: pytest.MonkeyPatch) -> Trials:
    async def none(*_: object) -> release_change.Effects:
        return release_change.Effects()

    async def way(_: object) -> WayBack:
        return WayBack(release="live", previous="before")

    monkeypatch.setattr(release_actions, "effects", none)
    monkeypatch.setattr(release_actions, "way_back", way)
    return Trials()


@pytest.mark.parametrize("name", ["release-promote", "release-promote-force", "release-abort"])
async def test_a_decision_on_one_canary_is_none_on_the_next(name: str, releases: Trials) -> None:
    act = next(one for one in release_actions_of(console_of(releases=releases, engine=None)) if one.name == name)
    sent = await opened_again(act, {})
    assert (await act.ask(sent)).title.count("first") == 1
    releases.trial = "second"
    with pytest.raises(InvalidRequest, match="The canary first has ended; second runs now"):
        await act.ask(sent)


async def test_a_pin_is_set_back_of_the_release_that_its_page_named(releases: Trials) -> None:
    act = next(one for one in release_actions_of(console_of(releases=releases, engine=None)) if one.name == "rollback")
    sent = await opened_again(act, {"only": "prices"})
    await act.ask(sent)
    releases.known = "live.back-1"
    with pytest.raises(InvalidRequest, match=r"Release live\.back-1 is live now, and no longer live"):
        await act.ask(sent)


async def test_a_rollback_that_another_operator_did_is_not_done_twice(releases: Trials) -> None:
    act = next(one for one in release_actions_of(console_of(releases=releases, engine=None)) if one.name == "rollback")
    with pytest.raises(InvalidRequest, match="Release live is live already"):
        await act.ask({"to": "live"})


@pytest.mark.parametrize("before", ["before", "bad"])
async def test_a_rollback_says_that_the_gate_refuses_its_release_and_asks_for_force(
    before: str, releases: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release that is named needs it; the plain way back says so in red, and waits for nothing."""

    async def way(_: object) -> WayBack:
        return WayBack(release="live", previous=before)

    async def running(_: object) -> int:
        return 0

    monkeypatch.setattr(release_actions, "way_back", way)
    monkeypatch.setattr(release_actions, "number_running", running)
    acts = {one.name: one for one in release_actions_of(console_of(releases=releases, engine=None))}
    named = await acts["rollback"].ask({"to": "bad"})
    assert named.refused[0].startswith("The eval gate refuses bad for 2 reasons; it goes live by force alone.")
    assert named.refused[1:] == [
        "a: 10 points below",
        "b: 1 point below",
        'good passes it: `octant rollback --to good --reason "…"`',
    ]
    assert (named.instead, bool(named.confirm), named.settled) == ("rollback-force", True, {"to": "bad"})
    assert named.command.endswith('--to bad --reason "…" --force')
    assert (await acts["rollback"].ask({"to": "fine"})).refused == []
    releases.known = "bad"
    forth = await acts["rollback"].ask({"to": "fine"})
    assert (forth.undo.endswith(" --force"), "activate-force" in forth.undo_at) == (True, True), "it was live by force"
    releases.known = "live"
    plain = await acts["rollback"].ask({})
    assert (bool(plain.refused), plain.instead, plain.confirm) == (before == "bad", "", "")
    assert plain.settled == {"before": before}
    session = cast("Any", SimpleNamespace(actor="ada"))
    monkeypatch.setattr(release_actions, "until_followed", none_at_all)
    for name, values, force in (
        ("rollback", {"to": "bad"}, False), ("rollback-force", {"to": "bad"}, True), ("rollback", {"before": before}, True),
        ("rollback", {"before": "another"}, False),
    ):  # fmt: skip
        await acts[name].do({**dict.fromkeys(acts[name].fields, ""), **values}, "r", session)
        assert releases.done["force"] is force, values


async def none_at_all(*_: object) -> list[object]:
    return []


async def test_a_stop_that_came_after_the_page_was_opened_is_not_resumed() -> None:
    stops = [Stop("provider", "openai", "ada", "a try", "2026-11-30T09:00:00+00:00")]

    async def status() -> list[Stop]:
        return stops

    switch = SimpleNamespace(status=status, stored=lambda _, name: name)
    act = next(one for one in stop_actions(console_of(switch=switch)) if one.name == "resume")
    sent = await opened_again(act, {"scope": "provider", "name": "openai"})
    await act.ask(sent)
    stops[0] = Stop("provider", "openai", "bob", "it leaks data", "2026-11-30T09:05:00+00:00")
    with pytest.raises(InvalidRequest, match=r"openai was stopped anew by bob at .*: it leaks data"):
        await act.ask(sent)


async def test_another_game_day_than_the_pages_is_not_stopped(tmp_path: Path) -> None:
    console = console_of(state_dir=tmp_path, environment="development")
    act = next(one for one in gameday_actions(console) if one.name == "drill-gameday-stop")
    with playing(tmp_path, "key-leak"):
        sent = await opened_again(act, {})
        await act.ask(sent)
    with playing(tmp_path, "bad-release"), pytest.raises(InvalidRequest, match="Another one, bad-release, is being played"):
        await act.ask(sent)
    assert datetime.fromisoformat(sent["begun"]) < datetime.now(UTC)
