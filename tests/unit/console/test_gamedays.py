"""Reports of game days as the console reads and draws them (X2)."""

import json
import tomllib
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from app.cli import app as cli
from app.console import formats, gameday_actions, gamedays
from app.console.formats import NONE
from app.console.gamedays import LABEL, MIX, WIDTH, Played, Report, Written, lanes
from app.console.pages import gameday as page
from app.console.pages.gameday import answer, described, ended_at, measured
from app.console.rehearsed import Proof, by_page, commands, ending, newest, proof
from app.domain.errors import Forbidden, Misconfigured
from app.oncall.gamedays import FOLDER, Playing, played_now, playing
from app.oncall.runbook.pages import by_the_drill
from app.stack.gameday import report, stage
from app.stack.gameday.page import Followed
from app.stack.gameday.play import Judged, Outcome
from app.stack.gameday.scenario import Detect, Fault, Probe, Runbook, Scenario

SCENARIO = Scenario(
    title="Anthropic refuses every connection", hypothesis="No caller notices.", fault=Fault(seconds=60),
    detect=Detect(command="octant providers", shows="anthropic"), runbook=Runbook(page="provider-outage.md"),
    probes=(
        Probe(name="answered", phase="fault", measure="answered", at_least=99),
        Probe(name="answered", phase="contained", measure="answered", at_least=99),
        Probe(name="answered", phase="recovered", measure="answered", at_least=99),
    ),
)  # fmt: skip


def test_other_users_who_noticed_a_rogue_are_counted() -> None:
    assert played(rogue={"answered": 9}, callers={"answered": 90, "timeout": 2}).noticed == "2 of their 92 calls failed"
    assert not played(callers={"answered": 90}).noticed, "without a rogue user"


def test_the_report_says_what_proves_containment() -> None:
    """A rollback works in seconds; the later time is that of callers who were all served since."""
    windowed = Written(limits={"window": 5})
    served = "the commands were done, and each call of the next 5 s was answered"
    assert Report(written_before=windowed, played=played()).notes == {"contained": served}
    refused = {"contained": "from here on the user was refused"}
    assert Report(written_before=windowed, played=played(rogue={"budget_exceeded": 3})).notes == refused
    assert Report(written_before=Written(), played=played()).notes == {}
    alone = Report(written_before=windowed, played=played(rogue={"budget_exceeded": 3}, detected=27.1, contained=23.2))
    assert alone.notes["contained"].endswith("refused, by its cap alone: before a person saw it")
    assert described(alone)[1] == "The promise was kept: contained after 23.2 s by the cap alone, detected after 27.1 s."


def test_a_game_day_that_ends_while_a_page_is_made_is_shown_as_played_or_by_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its report is written before its lock is given back, and a page looks in the same order."""
    ends = ExitStack()
    ends.enter_context(playing(tmp_path, "provider-outage"))
    outcome = Outcome("provider-outage", datetime.now(UTC))

    def now_or_never(state_dir: Path) -> Playing | None:
        found = played_now(state_dir)
        report.write(state_dir, SCENARIO, outcome)
        ends.close()
        return found

    monkeypatch.setattr(page, "played_now", now_or_never)
    under_way, reports = page.seen(tmp_path)
    assert under_way
    assert [one.played.scenario for one in reports] == ["provider-outage"]


def test_the_command_writes_its_report_before_another_game_day_may_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def written(state_dir: Path, *_: object) -> Path:
        seen.append(played_now(state_dir))
        path = tmp_path / "report.md"
        path.write_text("the report")
        return path

    def nowhere(*_: object) -> NoReturn:
        raise Misconfigured("no service to break")

    monkeypatch.setenv("OCTANT_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(report, "write", written)
    monkeypatch.setattr(stage, "stage", nowhere)
    ran = CliRunner().invoke(cli, ["drill", "gameday", "provider-outage"])
    assert "the report" in ran.output
    assert [one.scenario for one in seen if one] == ["provider-outage"]


def test_a_fault_in_which_nothing_could_answer_is_not_contained() -> None:
    """A refusal that comes soon is a kept promise, and no containment."""
    callers = {"answered": 60, "providers_unavailable": 121}
    away = Report(written_before=Written(), played=played(refused=(121, 121), detected=8.0, recovered=40.0, callers=callers))
    honest = "not contained: nothing could answer, and 121 of 121 refusals were honest"
    assert away.notes == {"contained": honest}
    kept = "The promise was kept: 60 of 181 calls answered, detected after 8.00 s, recovered after 40.0 s; "
    assert described(away)[1] == f"{kept}{honest}."


def test_a_detection_names_its_command_and_a_fault_without_an_alert_says_so() -> None:
    command = "octant calls --key KEY --since 15s"
    unseen = Report(written_before=Written(detect={"command": command, "alert": ""}), played=played())
    shown = {"detected": f"shown by {command}, which a person has to run", "paged": "no alert sees this fault"}
    assert unseen.notes == shown
    alerts = Report(written_before=Written(detect={"command": command, "alert": "OctantBudget"}), played=played())
    assert "paged" not in alerts.notes


@pytest.mark.parametrize(
    ("alert", "own"),
    [
        ("OctantBreakerOpen", ": its own rule has to hold for 5 min first"),
        ("OctantAvailabilityBurnsFast", ": its own rule compares the last hours with the last minutes"),
        ("OctantBudget", ": the service itself sends it when 50, 80 or 95 % of a cap is spent"),
        ("OctantUnknown", ""),
    ],
)
def test_a_page_that_the_drill_raised_is_not_its_alerts(alert: str, own: str) -> None:
    """The drill raises it within the same second: an alert's own rule needs minutes."""
    paged = Report(written_before=Written(detect={"alert": alert}), played=played(paged=4.93, acknowledged=6.23))
    typed = "by the drill, with the command that a person types"
    assert paged.notes == {"paged": f"by the drill, not by {alert}{own}", "acknowledged": typed}
    below = [mark.words for mark in lanes(paged.played).systems]
    assert "paged by the drill, 4.93 s" in below


def test_every_alert_that_a_game_day_raises_has_its_own_time_beside_it() -> None:
    alerts = [tomllib.loads(path.read_text())["detect"].get("alert") for path in (ROOT / "runbook/gamedays").glob("*.toml")]
    assert not [alert for alert in alerts if alert and ":" not in by_the_drill(alert)]


def test_an_answers_price_stands_beside_that_of_before_the_fault() -> None:
    """An attempt that hangs is charged its upper bound: a fault can be dear that broke nothing."""
    money = {"before": {"answered": 10, "cost": 2_000}, "fault": {"answered": 4, "cost": 32_000, "bound": 30_000}}
    assert (
        played(money=money).price
        == f"$0.0002 before the fault, $0.008 in it; $0.03 of the fault's $0.032 is an upper bound; {MIX}"
    )
    assert (
        played(money={**money, "fault": {"answered": 4, "cost": 400}}).price == f"$0.0002 before the fault, $0.0001 in it; {MIX}"
    )
    assert not played(money={**money, "fault": {"cost": 9}}).price, "no answer has no price"
    assert not played().price, "a report of an earlier version"


def played(**more: object) -> Played:
    values: dict[str, Any] = {"scenario": "provider-outage", "begun_at": datetime(2026, 11, 27, tzinfo=UTC), "verdict": "kept"}
    return Played(**{**values, **more})


def test_the_console_reads_the_report_that_a_game_day_writes(tmp_path: Path) -> None:
    outcome = Outcome("provider-outage", datetime(2026, 11, 27, 3, 35, tzinfo=UTC))
    outcome.verdict, outcome.detected, outcome.contained, outcome.recovered = "kept", 3.2, 12.5, 80.0
    outcome.timeline = [(0.0, "fault begins: x"), (3.2, "`octant providers` shows it"), (12.0, "`octant kill all` works")]
    outcome.probes = [Judged("answered", "fault", "answered", 99.9, holds=True)]
    outcome.followed = [Followed("octant kill all", works=True, code=0, seconds=1.5, output="stopped")]
    outcome.postmortem = "# Draft"
    path = report.write(tmp_path, SCENARIO, outcome)

    [found] = gamedays.reports(tmp_path)

    assert (found.name, found.kind, found.page) == (path.stem, "good", "provider-outage")
    assert (found.written_before.hypothesis, found.played.contained) == ("No caller notices.", 12.5)
    assert gamedays.report(tmp_path, path.stem) == found
    assert gamedays.postmortem(tmp_path, path.stem) == "# Draft"
    drawn = lanes(found.played)
    assert [mark.words for mark in drawn.ours] == ["providers", "kill all"]
    assert [mark.words.partition(",")[0] for mark in drawn.systems] == ["fault begins", "detected", "contained", "recovered"]


def test_the_newest_report_of_a_rogue_that_met_a_cap_is_found(tmp_path: Path) -> None:
    assert gamedays.of_the_cap(tmp_path, "rogue-user") is None
    for day, cap in ((26, "$5.00 a day; refused when $4.79 was spent"), (27, "")):
        outcome = Outcome("rogue-user", datetime(2026, 11, day, 3, 35, tzinfo=UTC))
        outcome.cap = cap
        report.write(tmp_path, SCENARIO, outcome)
    found = gamedays.of_the_cap(tmp_path, "rogue-user")
    assert found
    assert found.played.cap.endswith("refused when $4.79 was spent")


@pytest.mark.parametrize(
    "content", ["", "[]", "null", '{"played": 1}', '{"written_before": {}, "played": {"verdict": "kept"}}', "\x00"]
)
def test_a_file_that_is_no_report_is_passed_over(tmp_path: Path, content: str) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    (folder / "2026-11-27T03-35-00Z-x.json").write_text(content)
    (folder / "notes.json").write_text(json.dumps({"written_before": {}, "played": {}}))
    assert gamedays.reports(tmp_path) == []


@pytest.mark.parametrize("name", ["../secret", "2026-11-27T03-35-00Z-../../x", "", "2026-11-27T03-35-00Z-X", "x" * 300])
def test_only_a_report_s_own_name_is_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.json").write_text("{}")
    assert gamedays.report(tmp_path, name) is None


@given(st.lists(st.tuples(st.floats(0, 1e6), st.text(max_size=60)), max_size=40), st.none() | st.floats(0, 1e6))
def test_no_label_covers_another_or_leaves_the_picture(timeline: list[tuple[float, str]], contained: float | None) -> None:
    drawn = lanes(played(timeline=[(at, f"`octant {words}` works") for at, words in timeline], contained=contained))
    for marks in (drawn.ours, drawn.systems):
        by_row: dict[int, list[tuple[float, float]]] = {}
        for mark in marks:
            length = len(mark.words) * LABEL
            left, right = mark.x, mark.x + length
            assert 0 <= left <= right <= WIDTH
            by_row.setdefault(mark.row, []).append((left, right))
            for other in marks:  # no stem crosses a label that is nearer to the lane
                assert not (other.row > mark.row and left < other.x < right)
        for spans in by_row.values():
            ordered = sorted(spans)
            assert all(one[1] <= other[0] for one, other in pairwise(ordered))
    assert len(drawn.ticks) <= 14


def test_the_axis_is_as_long_as_its_last_label_leaves_room_for() -> None:
    drawn = lanes(played(timeline=[(1.0, "`octant a` works"), (90.0, "`octant b` works")], recovered=None))
    ends = [mark.x + len(mark.words) * LABEL for mark in (*drawn.ours, *drawn.systems)]
    assert WIDTH - 2 * LABEL <= max(ends) <= WIDTH


@pytest.mark.parametrize(
    ("verdicts", "kind", "words"),
    [
        (["kept"], "warn", "1 of 3 scenarios was played here; the promise was kept in it."),
        (["kept", "kept", "kept"], "good", "3 of 3 scenarios were played here; the promise was kept in each."),
        (["kept", "not kept"], "bad", "2 of 3 scenarios were played here; the promise was kept in 1 of them, and not in b."),
        (["not judged"], "warn", "1 of 3 scenarios was played here; the promise was kept in 0 of them."),
    ],
)
def test_a_scenario_that_was_not_played_is_no_failure(verdicts: list[str], kind: str, words: str) -> None:
    found = [
        Report(written_before=Written(), played=played(scenario=name, verdict=verdict))
        for name, verdict in zip("abc", verdicts, strict=False)
    ]
    assert answer(found, ["a", "b", "c"], datetime(2026, 11, 28, tzinfo=UTC)) == (kind, words)


def day(scenario: str, page: str = "latency.md", **more: object) -> Report:
    return Report(name=scenario, written_before=Written(runbook={"page": page}), played=played(scenario=scenario, **more))


def ran(*works: bool) -> list[gamedays.Followed]:
    return [gamedays.Followed(command="octant x", works=one) for one in works]


def test_the_newest_game_day_counts_for_its_page_however_it_ended() -> None:
    """A failed run was left out of the sum and of the row, and an older good one was shown in its place."""
    failed, good = day("slow", verdict="not kept", contained=3.0), day("slow", contained=2.0)
    assert by_page([good, failed])["latency"].contained == good
    assert by_page([failed, good])["latency"].contained is None
    assert [ending(one) for one in by_page([failed, good])["latency"].runs] == [("bad", "promise not kept here")]
    unjudged = day("slow", verdict="not judged")
    assert newest([unjudged, good]) == [good], "it says nothing of the service"
    assert by_page([unjudged]) == {}


def test_a_run_that_did_not_contain_or_had_a_failing_command_is_not_green() -> None:
    away = day("away", followed=ran(True, False))
    assert ending(away) == ("warn", "not contained here, 1 of 2 commands worked")
    assert ending(day("slow", contained=2.0, followed=ran(False))) == ("warn", "contained here in 2.00 s, 0 of 1 commands worked")
    both = by_page([day("slow", contained=2.0), away])["latency"]
    assert [one.name for one in both.runs] == ["away", "slow"], "the worst is named first"
    assert both.contained == day("slow", contained=2.0), "the fault of the page itself was contained"


def test_commands_of_failed_and_uncontained_game_days_count_in_the_sum() -> None:
    """37 of 38 on one page stood as 24 of 24 on another."""
    days = [
        day("a", contained=1.0, followed=ran(True, True)),
        day("b", followed=ran(True, False)),
        day("c", verdict="not kept", followed=ran(False)),
        day("a", contained=1.0, followed=ran(False, False)),
    ]
    assert commands(days) == (3, 5), "the newest of each scenario"
    assert (proof([], days).works, proof([], days).commands) == (3, 5)


def test_a_game_day_is_over_at_its_last_event() -> None:
    one = Report(written_before=Written(), played=played(timeline=[(-3.0, "ready"), (34.0, "recovered"), (30.0, "fault over")]))
    assert ended_at(one) == one.played.begun_at + timedelta(seconds=34)
    assert ended_at(Report(written_before=Written(), played=played(timeline=[]))) == one.played.begun_at


def test_times_have_the_unit_of_their_size() -> None:
    assert [formats.seconds(at) for at in (None, 0.0103, 1.2, 95)] == [NONE, "10 ms", "1.20 s", "1 min 35 s"]
    assert measured(0.0103, "p95_seconds") == "10 ms"


def test_a_command_that_failed_is_marked_as_such() -> None:
    """And one that ran without a word is no failure: "FAILS, exit code 0" left open what had failed."""
    lines = ["FAILS with exit code 1", "did not show it within 60 s", "was not run", "ran, and printed nothing", "works"]
    drawn = lanes(played(timeline=[(float(at), f"`octant x` {words}") for at, words in enumerate(lines)]))
    assert [mark.kind for mark in drawn.ours] == ["bad", "bad", "bad", "warn", "good"]


def test_the_sign_of_a_fault_is_named_by_the_command_as_it_was_run() -> None:
    """At the game day's own service: the pages' address was that of another one, which was well."""
    written = Written(detect={"command": "curl -s http://127.0.0.1:8080/readyz", "alert": "x"})
    shown = played(timeline=[(2.1, "`curl -s http://127.0.0.1:25913/readyz` shows it")])
    named = Report(written_before=written, played=shown).notes["detected"]
    assert named == "shown by curl -s http://127.0.0.1:25913/readyz, which a person has to run"


async def test_in_production_none_is_asked_for_or_played(tmp_path: Path) -> None:
    parts = SimpleNamespace(state_dir=tmp_path, environment="production")
    play = next(act for act in gameday_actions.actions(cast(Any, SimpleNamespace(parts=parts))) if act.name == "drill-gameday")
    with pytest.raises(Forbidden, match="roduction"):
        await play.ask({"scenario": "provider-outage"})
    with pytest.raises(Forbidden, match="roduction"):
        await play.do({"scenario": "provider-outage"}, "a reason", cast(Any, None))
    assert gameday_actions.refusal("development") == ""


def test_the_runbook_says_how_many_pages_contained_their_fault_here_and_which_was_the_slowest() -> None:
    today = datetime.now(UTC)
    slow = day("a", begun_at=today, contained=90.0, followed=ran(True, False))
    pages: list[Any] = [
        SimpleNamespace(name="latency.md", title="Slow", rehearsed=(today.date() - timedelta(days=40), 0.5), tried=None),
        SimpleNamespace(name="postgres-away.md", title="Away", rehearsed=(today.date(), 0.5), tried=(today.date(), 9.0)),
        SimpleNamespace(name="old.md", title="Old", rehearsed=(today.date() - timedelta(days=40), 1.4), tried=None),
    ]
    assert proof(pages, [slow]) == Proof(3, 2, 1, 1.5, "Slow", 1, 2, 1, today.date(), [])
    assert proof(pages[1:], []) == Proof(2, 1, 0, 1.4, "Old", 0, 0, 1, today.date(), [])
    away = day("b", "postgres-away.md", begun_at=today)
    assert proof(pages, [away]) == Proof(3, 0, 0, 1.4, "Old", 0, 0, 1, today.date(), ["postgres-away"])
    earlier = day("b", "postgres-away.md", begun_at=today - timedelta(days=1))
    assert proof(pages, [earlier]).fresh == 1, "the recorded run is the newer one"


def test_each_time_of_the_runbooks_index_is_written_alike() -> None:
    assert [formats.rehearsed(minutes) for minutes in (0.1, 0.9, 1.0, 4.5)] == ["6 s", "54 s", "1 min", "4 min 30 s"]
