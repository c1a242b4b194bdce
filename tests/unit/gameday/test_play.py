"""Game days: kept, not kept, not judged, and the tool failed; the runbook followed literally (X2, K2)."""

import json
import math
import os
import re
import time
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from commands import run
from conftest import ROOT, Simulator
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.errors import Misconfigured
from app.oncall.paging.alarms import AlertmanagerMessage, alarm_of
from app.oncall.runbook.pages import blanks
from app.stack.gameday import play as playing
from app.stack.gameday import report, rogue
from app.stack.gameday.page import Followed, Shell, commands, cut
from app.stack.gameday.pager import Pager
from app.stack.gameday.play import Outcome, Stage, play
from app.stack.gameday.rogue import REFUSED, REVOKE, capped, held_off, key_of, late
from app.stack.gameday.scenario import Probe, Scenario, Traffic, load, names
from app.stack.gameday.traffic import Callers, Seen, measure, usual_model

PAGE = (
    '## Contain\n\n```console\n$ echo contained CALL\n$ false\n```\n\n## Verify\n\n```console\n$ echo "OK" KEYS\n```\n'
    "\n## Fix\n\n```console\n$ echo back\n```\n"
)
SCENARIO = """
title = "away"
hypothesis = "callers are answered"
traffic = { rate = 8, deadline = 60, kinds = ["chat"] }
steady = { seconds = 1.5, median = 30 }
limits = { window = 1, contained_within = 60, recovered_within = 60 }
fault = { faults = [{ kind = "latency", milliseconds = 5 }], seconds = 1 }
detect = { command = "[ -e $sign ] && { echo seen; }; touch $sign", shows = "seen" }
runbook = { page = "away.md", recover = ["Fix"] }
probes = [
  { name = "fault", phase = "fault", measure = "answered", at_least = 100 },
  { name = "contained", phase = "contained", measure = "slowest_seconds", at_most = 60 },
  { name = "recovered", phase = "recovered", measure = "answered", at_least = 100 },
]
"""


@pytest.fixture
def runbook(tmp_path: Path) -> Path:
    (tmp_path / "gamedays").mkdir()
    (tmp_path / "away.md").write_text(PAGE)
    (tmp_path / "gamedays" / "away.toml").write_text(SCENARIO)
    return tmp_path


@pytest.fixture
def stage(engine: AsyncEngine, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The simulator stands in for the service: it answers the same request, and a game day's steps are the same.

    The sign of a fault is there from the second look on: the first is before it.
    """
    monkeypatch.setattr(playing, "WARM_UP_SECONDS", 0.2)
    url, control = simulator.openai.removesuffix("/v1"), {"simulator": simulator.control}
    return Stage(url=url, key="any", control=control, env=os.environ | {"sign": f"{tmp_path}/sign"}, engine=engine)


async def test_a_fault_is_played_and_reported_with_the_runbooks_score(stage: Stage, runbook: Path, tmp_path: Path) -> None:
    scenario = load(runbook, "away")
    outcome = await play("away", scenario, stage, runbook)
    assert (outcome.verdict, outcome.exit_code, outcome.reasons) == ("kept", 0, [])
    assert [one.works for one in outcome.followed] == [True, False, False, True]
    assert outcome.score == (2, 4)
    said = [words for _, words in outcome.timeline]
    order = ["contained", '`echo "OK" KEYS` was not run', "fault ends", "`echo back` works"]
    assert [words for words in said if words in order] == order, "it is verified while the fault lasts"
    assert outcome.followed[2].output == "nothing fills in KEYS"
    assert "CALL" not in outcome.followed[0].output
    steps = (outcome.detected, outcome.contained, outcome.fault_ended, outcome.recovered)
    assert all(step is not None for step in steps)
    assert list(steps) == sorted(step for step in steps if step is not None)
    assert set(outcome.callers) == {"answered"}
    assert "fault begins: away" in outcome.postmortem
    assert outcome.postmortem.splitlines()[0].endswith(": Rehearsal: away")
    path = report.write(tmp_path, scenario, outcome)
    whole = json.loads(path.with_suffix(".json").read_text())
    assert whole["written_before"]["hypothesis"] == "callers are answered"
    assert whole["played"]["score"] == [2, 4]
    (line,) = (tmp_path / "gameday" / report.LOG).read_text().splitlines()
    assert json.loads(line)["verdict"] == "kept"
    assert "| containment |" in path.read_text()
    assert one_clock(outcome) == []
    assert f"| seconds from the fault | event |\n|---|---|\n| {outcome.timeline[0][0]:.2f} | " in path.read_text()


def one_clock(outcome: Outcome) -> list[str]:
    """The events whose second in the timeline is not that of the report's steps."""
    events = {"detected": "shows it", "contained": "contained", "fault_ended": "fault ends", "recovered": "recovered"}
    at = {words: f"{seconds:.2f}" for seconds, words in outcome.timeline}
    steps = {next(line for line in at if line.endswith(words)): getattr(outcome, name) for name, words in events.items()}
    return [f"{words}: {at[words]}, not {step:.2f}" for words, step in steps.items() if at[words] != f"{step:.2f}"]


def test_the_model_at_fault_is_the_one_that_its_provider_answered_with_most() -> None:
    def one(provider: str, model: str) -> Seen:
        return Seen(
            at=0, kind="chat", what="answered", seconds=1, first_byte=1, provider=provider, headers={"octant-model": model}
        )

    seen = [one("openai", "luna"), one("openai", "luna"), one("openai", "sol"), *[one("anthropic", "haiku")] * 4]
    assert usual_model(seen, "openai") == {"MODEL": "luna"}
    assert usual_model(seen, "other") == {}


def test_a_text_that_is_cut_says_so() -> None:
    assert cut("short", 9) == "short"
    assert cut("one line\nanother line", 15) == "one line\n…"
    assert cut("one line alone", 9) == "one line…"


@pytest.mark.parametrize(
    ("change", "verdict", "code", "why"),
    [
        (("/v1", "/v1"), "not judged", 3, "were answered"),  # its providers fail before the fault
        (("answered", "second_attempt"), "not kept", 1, "fault: second_attempt is"),
        (('kind = "latency"', 'kind = "unknown"'), "the tool failed", 4, "unknown kind"),
        (("echo seen", "curl -s -X DELETE CONTROL/faults; echo seen"), "the tool failed", 4, "ended before its time"),
        (("away.md", "absent.md"), "the tool failed", 4, "absent.md"),
        (("[ -e $sign ] && ", ""), "not judged", 3, "shows its sign before the fault"),
    ],
    ids=["sick", "broken", "refused", "lost", "no-page", "no sign"],
)  # fmt: skip
async def test_a_sick_service_a_broken_promise_and_a_failed_tool_differ(
    stage: Stage, simulator: Simulator, runbook: Path, change: tuple[str, str], verdict: str, code: int, why: str
) -> None:
    """A promise is broken where a second attempt was to be seen; a fault is lost where another hand clears it."""
    if why == "were answered":
        simulator.put_faults({"kind": "status", "status": 500})
    text = SCENARIO.replace(*change, 2 if change == ("answered", "second_attempt") else -1).replace("CONTROL", simulator.control)
    text = text.replace("seconds = 1 }", "seconds = 20 }") if "DELETE" in text else text
    outcome = await play("away", Scenario.model_validate(tomllib.loads(text)), stage, runbook)
    assert (outcome.verdict, outcome.exit_code) == (verdict, code), (outcome.reasons, outcome.callers)
    assert any(why in reason for reason in outcome.reasons), outcome.reasons


async def test_refusals_are_no_containment_where_nothing_can_answer(stage: Stage, runbook: Path, tmp_path: Path) -> None:
    text = SCENARIO.replace('kind = "latency", milliseconds = 5', 'kind = "status", status = 500').replace(
        "window", "containable = false, window"
    )
    text = text.replace(
        'phase = "fault", measure = "answered", at_least = 100', 'phase = "fault", measure = "honest", at_least = 100'
    )
    scenario = Scenario.model_validate({**tomllib.loads(text), "honest_codes": ["HTTP 500", "server_error"]})
    outcome = await play("away", scenario, stage, runbook)
    assert outcome.refused is not None, outcome.reasons
    assert outcome.refused[1] > 0
    assert (outcome.contained, "no containment in time" in outcome.reasons) == (None, False)
    assert "refused as promised; not contained" in [words for _, words in outcome.timeline]
    assert [one.stayed for one in outcome.followed] == [True, True, False, False], "of the commands that were to contain it"
    written = report.write(tmp_path, scenario, outcome).read_text()
    assert f"**Not contained:** nothing could answer meanwhile; {outcome.refused[0]} of {outcome.refused[1]} refusals" in written


def test_a_cap_contains_a_rogue_from_the_refusal_after_its_last_answer() -> None:
    def seen(*what: str) -> list[Seen]:
        return [Seen(at=10.0 + number, kind="chat", what=one, seconds=0.1, first_byte=0.1) for number, one in enumerate(what)]

    assert held_off(seen("answered", "answered", REFUSED, REFUSED), 10.0) == 2.0
    assert held_off(seen("answered", REFUSED, "answered", REFUSED), 10.0) == 3.0, "money came back, and one more was answered"
    assert held_off(seen("answered", "invalid_api_key", "invalid_api_key"), 10.0) == 1.0, "its key was revoked"
    assert held_off(seen(REFUSED, "answered"), 10.0) is None
    assert held_off([], 10.0) is None


async def test_a_revoked_key_is_timed_from_the_command_to_its_first_refused_call(stage: Stage, runbook: Path) -> None:
    """The simulator refuses all from the page's command on."""
    (runbook / "away.md").write_text(PAGE.replace("echo contained CALL", f"{REVOKE}KEY"))
    folder = runbook / "bin"
    folder.mkdir()
    fault = f'curl -sf -X PUT {stage.control["simulator"]}/faults -d \'[{{"kind": "status", "status": 401}}]\''
    (folder / "octant").write_text(f'#!/bin/sh\nsleep 0.5; [ "$2" = revoke ] && {fault} && echo revoked; echo "$1"\n')
    (folder / "octant").chmod(0o755)
    env = {**stage.env, "PATH": f"{folder}:{stage.env['PATH']}"}
    rogue = 'faults = [], rogue = { text = "Everything, please.", rate = 10 }, seconds = 4'
    text = SCENARIO.replace('faults = [{ kind = "latency", milliseconds = 5 }], seconds = 1', rogue)
    text = text.replace('recover = ["Fix"]', "verify = []").replace("recovered_within = 60", "recovered_within = 1")  # never is
    there = replace(stage, env=env, words={"KEY": "k"})
    outcome = await play("away", Scenario.model_validate(tomllib.loads(text)), there, runbook)
    assert outcome.revoked is not None, outcome.rogue
    assert 0.4 < outcome.revoked < 20
    assert report.fact(outcome, "x")["revoked"] == outcome.revoked
    assert outcome.written is None, "the store of this test knows of no revocation"


async def test_a_leak_lasts_until_no_worker_answers_the_key(runbook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest of some keys, each in use until its end, on connections that no worker keeps: one key may be lucky."""
    ended: dict[str, float] = {}
    asked: list[tuple[str, int]] = []
    slowest = {"k0": 0.2, "k1": 0.9}  # seconds until the last worker knows of the revocation

    async def answer(request: web.Request) -> web.Response:
        key = request.headers["authorization"].split("_")[1]
        asked.append((key, (request.transport.get_extra_info("peername") if request.transport else (0, 0))[1]))
        if time.monotonic() - ended.get(key, math.inf) > (slowest[key] if len(asked) % 2 else 0.0):  # one of two workers is early
            return web.json_response({"error": {"code": "invalid_api_key"}}, status=401)
        return web.json_response({})

    class Admin:
        def __init__(self, *_: object, **__: object) -> None: ...

        async def revoke_key(self, key: str) -> None:
            ended[key] = time.monotonic()

    monkeypatch.setattr(rogue, "KeyAdministration", Admin)
    for name, value in (("FURTHER", 2), ("USED_SECONDS", 0.3), ("QUIET_SECONDS", 0.6)):
        monkeypatch.setattr(rogue, name, value)
    (runbook / "octant").write_text("#!/bin/sh\nmkdir made 2>/dev/null && echo oct_k0_x || echo oct_k1_x\n")
    (runbook / "octant").chmod(0o755)
    monkeypatch.chdir(runbook)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/")) as http:
        shell = Shell({**os.environ, "PATH": f"{runbook}:{os.environ['PATH']}"}, str(server.make_url("/")), {})
        lasted = await rogue.lasting(shell, Callers(http, Traffic()), cast("AsyncEngine", None))
    assert [round(one, 1) for one in sorted(lasted)] == [pytest.approx(0.2, abs=0.25), pytest.approx(0.9, abs=0.3)]
    assert len({port for _, port in asked}) == len(asked), "a kept connection stays with one worker"


def test_a_key_refused_later_than_promised_breaks_the_promise() -> None:
    """From the write: a command's own start is no part of it."""
    assert late(None) == late(4.9) == []
    assert late(0.3, 5.12, 4.0) == ["a key was refused 5.1 s after its revocation was written, the promise is 5 s"]


@pytest.mark.parametrize("name", names(ROOT / "runbook"))
def test_every_scenario_names_commands_that_its_page_has(name: str) -> None:
    scenario = load(ROOT / "runbook", name)
    page = (ROOT / "runbook" / scenario.runbook.page).read_text()
    assert commands(page, scenario.runbook.contain)
    for section in (*scenario.runbook.verify, *scenario.runbook.recover):
        assert commands(page, (section,)), section
    assert scenario.runbook.verify or scenario.runbook.recover
    assert f"`{scenario.detect.alert}`" in "".join(path.read_text() for path in (ROOT / "runbook").glob("*.md"))
    with pytest.raises(Misconfigured):
        commands(page, ["No such section"])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (("seconds = 1 }", "seconds = 0 }"), "fault.seconds"),
        (('measure = "answered"', 'measure = "mood"'), "probes.0.measure"),
        ((", at_least = 100 }", " }"), "a probe has a limit"),
        (('phase = "recovered"', 'phase = "fault"'), "no probe of the phase recovered"),
        (('title = "away"', "title = away"), "is not TOML"),
        (("hypothesis =", "guess ="), "hypothesis"),
        (('faults = [{ kind = "latency", milliseconds = 5 }]', "faults = []"), "nothing is broken"),
        (("fault = {", 'fault = { at = "release",'), "a bad release differs"),
    ],
)
def test_a_scenario_that_does_not_fit_is_refused_with_its_field(runbook: Path, change: tuple[str, str], field: str) -> None:
    (runbook / "gamedays" / "away.toml").write_text(SCENARIO.replace(*change))
    with pytest.raises(Misconfigured, match=field):
        load(runbook, "away")


async def test_a_rogue_caller_is_judged_apart_and_ends_with_the_fault(stage: Stage, runbook: Path) -> None:
    """And so are the runbook's commands, of which two of four work here."""
    rogue = 'faults = [], rogue = { text = "Everything, please.", rate = 8 }, seconds = 2'
    text = SCENARIO.replace('faults = [{ kind = "latency", milliseconds = 5 }], seconds = 1', rogue)
    probes = """
  { name = "rogue", phase = "fault", measure = "answered", of = "rogue", at_least = 100 },
  { name = "page", phase = "recovered", measure = "followed", at_least = 45, at_most = 55 },
]
"""
    scenario = Scenario.model_validate(tomllib.loads(text.rstrip().removesuffix("]") + probes))
    outcome = await play("away", scenario, stage, runbook)
    assert (outcome.verdict, outcome.reasons) == ("kept", [])
    assert [round(one.value or 0) for one in outcome.probes if one.name in {"rogue", "page"}] == [100, 50]
    assert set(outcome.rogue) == {"answered"}
    others = outcome.callers["answered"]
    assert f"**Other users who noticed:** 0 of their {others} calls failed" in report.as_markdown(scenario, outcome)
    again = replace(stage, env={**stage.env, "sign": f"{runbook}/another"})
    without = await play(
        "away", scenario.model_copy(update={"fault": scenario.fault.model_copy(update={"rogue": None})}), again, runbook
    )
    assert (without.verdict, without.reasons[0]) == ("not kept", "rogue: answered is no caller in the phase fault")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("$5.00", ("$4.79", "$5.00"), "$5.00 a day, as it was before the game day; refused from second 2.5 on"),
        ("$5.00", ("$0.01", "$0.00001"), "lowered from $5.00 to $0.00001 a day by the runbook's command; refused from"),
        ("", ("", ""), ""),
    ],
)
def test_the_cap_that_met_a_rogue_is_named(before: str, after: tuple[str, str], words: str) -> None:
    seen = [Seen(at=at, kind="chat", what=what, seconds=0, first_byte=0) for at, what in ((9, "answered"), (12.5, REFUSED))]
    assert capped(before, after, seen, 10.0).startswith(words)
    assert capped("$5.00", ("$1.00", "$5.00"), seen[:1], 10.0).endswith("never refused, $1.00 was spent")
    assert capped("$5.00", ("$5.00", "$5.00"), seen, 20.3).endswith("refused already before it, when $5.00 was spent")


async def test_the_pager_of_a_game_day_reports_an_alert_and_hears_of_its_page() -> None:
    """Against a service that pages at once."""
    pager, got = Pager.bound(), []

    async def take(request: web.Request) -> web.Response:
        got.append((request.headers["authorization"], AlertmanagerMessage.model_validate_json(await request.read())))
        event = {"type": "page.trigger", "data": {"page": "4711"}}
        async with aiohttp.ClientSession() as http, http.post(pager.environment["OCTANT_PAGING__WEBHOOK_URL"], json=event):
            return web.Response(status=200)

    app = web.Application()
    app.router.add_post("/v1/admin/alertmanager", take)
    async with TestServer(app) as service, pager.listening(), aiohttp.ClientSession(str(service.make_url("/"))) as http:
        assert await pager.report(http, "OctantBudget", "Rehearsal", firing=True)
        assert await pager.page() == "4711"
        assert await pager.report(http, "OctantBudget", "Rehearsal", firing=False)
    pager.socket.close()
    (token, fired), (_, ended) = got
    assert token == f"Bearer {pager.token}"
    assert (fired.status, ended.status, fired.groupKey) == ("firing", "resolved", ended.groupKey)
    assert alarm_of(fired).alert == "OctantBudget"


async def test_a_command_that_prints_nothing_or_fails_does_not_work(tmp_path: Path) -> None:
    shell = Shell(os.environ, "http://127.0.0.1:1", {"CALL": "call_1"})
    ran = [await shell.follow(line) for line in ("echo CALL http://127.0.0.1:8080", "true", "echo no >&2; exit 3", "echo KEY")]
    assert [(one.works, one.code) for one in ran] == [(True, 0), (False, 0), (False, 3), (False, None)]
    assert [one.output for one in ran] == ["call_1 http://127.0.0.1:1", "", "no", "nothing fills in KEY"]
    assert [one.ending for one in ran] == ["works", "ran, and printed nothing", "FAILS with exit code 3", "was not run"]
    assert replace(ran[1], stayed=True).ending == "ran, and printed nothing, and the fault stayed"
    assert ran[0].command == "echo call_1 http://127.0.0.1:1", "a report shows the command as it was run"


class Making(Shell):
    """A shell that makes a key."""

    async def follow(self, command: str) -> Followed:
        return Followed(command, works=True, code=0, seconds=0.0, output="oct_made_secret")


@pytest.mark.parametrize("name", names(ROOT / "runbook"))
async def test_each_word_in_capitals_of_a_scenarios_page_has_a_value(name: str) -> None:
    scenario = load(ROOT / "runbook", name)
    _, words = await key_of(Making({}, "", {}), scenario.fault, "own")
    page = (ROOT / "runbook" / scenario.runbook.page).read_text()
    found = scenario.runbook
    for line in commands(page, [*found.contain, *found.verify, *found.recover]):
        filled = re.sub(rf"\b({'|'.join([*words, 'CALL', 'RELEASE', 'MODEL'])})\b", "x", line)
        assert blanks(filled) == [], line


def test_measures_are_of_the_callers_that_they_are_about() -> None:
    def one(what: str, seconds: float, provider: str = "", attempts: int = 1) -> Seen:
        return Seen(at=0, kind="chat", what=what, seconds=seconds, first_byte=seconds / 2, provider=provider, attempts=attempts)

    seen = [one("answered", 1, "a"), one("answered", 2, "b", 2), one("answered", 3), one("refused", 4)]
    values: dict[str, Callable[[], float | None]] = {
        "answered": lambda: measure("answered", seen), "honest": lambda: measure("honest", seen, honest=("refused",)),
        "second": lambda: measure("second_attempt", seen), "usual": lambda: measure("usual_provider", seen, usual="a"),
        "p50": lambda: measure("p50_seconds", seen), "first": lambda: measure("first_byte_p95_seconds", seen),
        "none": lambda: measure("answered", []),
    }  # fmt: skip
    assert {name: value() for name, value in values.items()} == {
        "answered": 75, "honest": 100, "second": 25, "usual": 50, "p50": 3, "first": 2, "none": None,
    }  # fmt: skip
    assert not Probe(name="x", phase="fault", measure="answered", at_least=0).holds(None)


def test_scenarios_are_listed_with_their_hypotheses(tmp_path: Path, runbook: Path) -> None:
    env = {**os.environ, "OCTANT_STATE_DIR": str(tmp_path / "state"), "OCTANT_REHEARSALS_FILE": str(runbook / "log")}
    listed = run(env, "drill", "gameday")
    assert (listed.returncode, "callers are answered" in listed.stdout) == (0, True)
    assert run(env, "drill", "gameday", "absent").returncode == 1
