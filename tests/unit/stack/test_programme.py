"""A demo's first start rehearses a page, attacks and an outage, beside its callers (X1, X2)."""

import http.client
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from pydantic import SecretStr

from app.features.installed import installed
from app.oncall.gamedays import FOLDER
from app.oncall.paging.drilled import token_of
from app.oncall.paging.settings import PagingSettings
from app.releases.eval_example import example
from app.releases.rehearsals import ATTACKED, FILE, ROLLBACK, Rehearsal, append
from app.security.webhooks import secret_of, signed
from app.settings import Settings
from app.stack import programme
from app.stack.gameday.report import LOG
from app.stack.processes import stop_left_overs
from app.stack.programme import ANSWERS, GAMEDAY, INJECTION, LEAK, PAGE, PARTS, ROGUE, WAY_BACK, Programme
from app.stack.receiver import DemoReceiver
from app.wiring.paging import _on_this_machine

DRILLED = any(feature.drill for feature in installed())  # a fork may have no product that can be attacked
SECRET = b"a secret of thirty-two bytes and more"
# Stands in for a command of the programme: a family of two, which ends in order when it is asked to.
FAMILY = """
import os, signal, subprocess, sys, time
def end(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit()
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
try:
    print("started", inner.pid, os.nice(0), flush=True)  # the signal may come before this returns
    time.sleep(600)
finally:
    inner.kill()
"""


def until(holds: Callable[[], object], what: str, *, step: Callable[[], None] = lambda: None) -> None:
    ends = time.monotonic() + 120
    while not holds():
        step()
        assert time.monotonic() < ends, what
        time.sleep(0.02)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Programme, list[str]]]:
    """A programme whose commands are Python scripts, with what it prints."""
    said: list[str] = []
    monkeypatch.setattr(programme, "OCTANT", (sys.executable, "-c"))
    one = Programme(tmp_path, said.append, None)
    yield one, said
    one.stop()


def begin(one: Programme, monkeypatch: pytest.MonkeyPatch, *scripts: str) -> None:
    names = (PAGE, INJECTION, GAMEDAY)
    parts = [programme.Part(n, f"part {n}", 1, (s,), re.compile(r"verdict: (.*)")) for n, s in zip(names, scripts, strict=False)]
    monkeypatch.setattr(programme, "due", lambda *_, **__: parts)
    one.begin(Settings(), "http://here")


def test_each_part_ends_with_its_verdict_and_one_that_fails_stops_nothing(
    played: tuple[Programme, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, said = played
    begin(one, monkeypatch, "print('verdict: held')", "print('Traceback'); print('no stores'); raise SystemExit(4)", "pass")
    until(lambda: len(said) == 5, "three verdicts, and the rest", step=one.step)
    assert "rehearses part page, part injection and part gameday: about 3 s; see http://here/console/gameday" in said[0]
    assert "`octant demo --no-rehearsals` leaves it out" in said[0]
    assert re.sub(r" \(\d+ s\)", "", "\n".join(said[1:4])) == (
        "Rehearsed part page: held\nRehearsed part injection: FAILED, no stores (exit code 4)\n"
        "Rehearsed part gameday: FAILED, it printed nothing (exit code 0)"
    )


def test_a_part_that_is_not_judged_is_played_once_more_after_the_others(
    played: tuple[Programme, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, said = played
    begin(one, monkeypatch, "print('verdict: not judged'); raise SystemExit(3)", "print('verdict: held')")
    until(lambda: len(said) == 5, "three verdicts, and the rest", step=one.step)
    assert [re.sub(r" \(\d+ s\)", "", line) for line in said[1:4]] == [
        "Rehearsed part page: not judged; it is played once more", "Rehearsed part injection: held",
        "Rehearsed part page: not judged",
    ]  # fmt: skip
    one.step()
    assert one._now is None, "and not a third time"
    assert said[4].startswith("Still without evidence here, and so on Readiness: part page (`octant ")
    assert "part injection" not in said[4]


@pytest.mark.parametrize("ended", ["by its stop", "in a hurry", "by kill -9"])
def test_nothing_that_a_part_started_outlives_the_demo(
    played: tuple[Programme, list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ended: str
) -> None:
    """The parts run at a low priority. After a kill -9 of the demo its keeper ends them by the note in the state folder."""
    one, _ = played
    monkeypatch.setattr(programme, "NICE", 13)  # tests may run at 10 themselves
    begin(one, monkeypatch, FAMILY)
    log = tmp_path / "logs" / "rehearsal-page.log"
    until(lambda: log.exists() and log.read_text().endswith("\n"), "its first line", step=one.step)
    _, inner, nice = log.read_text().split()
    assert int(nice) == max(13, os.nice(0))
    if ended == "by kill -9":
        assert stop_left_overs(tmp_path) == ["rehearsal-page"]
    elif ended == "in a hurry":
        one.hurry()
    else:
        one.stop()
    until(lambda: not psutil.pid_exists(int(inner)) or psutil.Process(int(inner)).status() == "zombie", "its child ends")


def test_a_part_with_a_result_in_the_state_folder_is_not_played_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tested = stored = False

    async def page_tested(_: Settings) -> bool:
        return tested

    async def evals_stored(_: Settings) -> bool:
        return stored

    def left(*, paged: bool = True) -> list[str]:
        return [part.name for part in programme.due(Settings(state_dir=tmp_path), paged=paged)]

    def day(verdict: str) -> None:
        line = {"at": "2026-11-27T10:00:00+00:00", "verdict": verdict}
        (tmp_path / FOLDER).mkdir(exist_ok=True)
        days = [json.dumps(line | {"scenario": scenario}) + "\n" for scenario in ("provider-outage", "key-leak", "rogue-user")]
        (tmp_path / FOLDER / LOG).write_text("".join(days))

    def rehearsed(verdict: str) -> None:
        for what in (ATTACKED, ROLLBACK):
            append(tmp_path / FILE, Rehearsal(datetime.now(UTC), what, kept=verdict == "kept", verdict=verdict))

    monkeypatch.setattr(programme, "_page_tested", page_tested)
    monkeypatch.setattr(programme, "_evals_stored", evals_stored)
    assert [part.name for part in PARTS] == [PAGE, ANSWERS, INJECTION, GAMEDAY, LEAK, ROGUE, WAY_BACK]
    attacks, answers = [INJECTION] * DRILLED, [ANSWERS] * bool(example(Settings().releases_dir))
    assert left() == [PAGE, *answers, *attacks, GAMEDAY, LEAK, ROGUE, WAY_BACK]
    assert left(paged=False) == [*answers, *attacks, GAMEDAY, LEAK, ROGUE, WAY_BACK], "a test page would go to a person"
    tested = stored = True
    day("not judged")
    rehearsed("not judged")
    assert left() == [*attacks, GAMEDAY, LEAK, ROGUE, WAY_BACK], "what was not judged is played again"
    day("kept")
    rehearsed("not kept")
    assert left() == []


def test_the_verdict_is_found_in_what_each_command_prints(tmp_path: Path) -> None:
    printed = {
        PAGE: ("1a2b: paging. `octant oncall ack 1a2b` acknowledges it.\n1a2b: answered by the demo's receiver after 1.6 s.\n",
               "answered by the demo's receiver after 1.6 s."),
        ANSWERS: ("Stored it as run 7.\nExample: wrong_tool of made: 1 of 2 passed.\n", "wrong_tool of made: 1 of 2 passed"),
        INJECTION: ("12 attacks by way of direct\n  HARM: canary out (plain)\nNOT contained\n", "NOT contained"),
        GAMEDAY: ("# Game day: x\n\n- **Verdict:** not kept\n  - callers wait\n- **Hypothesis:** Some wait. All are answered.\n",
                  "not kept, the promise: Some wait. All are answered"),
        LEAK: ("     6 s  x\n# Game day: x\n\n- **Verdict:** kept\n", "kept"),
        ROGUE: ("     6 s  x\n# Game day: x\n\n- **Verdict:** kept\n", "kept"),
        WAY_BACK: ("rollback all   0.83  kept\nnot judged: sick (limit 10 s a step, 4 workers)\nSigned.\n",
                   "not judged: sick (limit 10 s a step, 4 workers)"),
    }  # fmt: skip
    for part in PARTS:
        log = tmp_path / part.name
        log.write_text(printed[part.name][0])
        assert programme._outcome(part, 0, log) == f"Rehearsed {part.title}: {printed[part.name][1]}"
        failed = programme._outcome(part, 1, log)
        assert (failed.count("FAILED"), failed.count(" cores")) == (1, 1), "it says whether the machine may be why"


@contextmanager
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[DemoReceiver, list[str], list[list[str]]]]:
    said: list[str] = []
    ran: list[list[str]] = []
    monkeypatch.setattr("app.stack.receiver.subprocess.run", lambda command, **_: ran.append(command))
    one = DemoReceiver(SECRET, said.append)
    with one.listening():
        yield one, said, ran


def post(one: DemoReceiver, message: dict[str, Any], *, secret: bytes = SECRET, changed: str = "") -> int:
    address = urlsplit(one.environment["OCTANT_PAGING__WEBHOOK_URL"])
    body = json.dumps(message).encode()
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
    connection.request("POST", address.path, changed.encode() or body, signed(secret_of(secret, ""), "page-1", body))
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def page(*, test: bool, action: str = "trigger", level: int = 1, person: str = "Ada \x1b[2J") -> dict[str, Any]:
    data = {"page": "1a2b3c4d-0000", "summary": "It \x1b[2Jburns.", "test": test, "level": level, "person": person}
    return {"type": f"page.{action}", "data": data}


def test_the_demos_receiver_acknowledges_its_own_test_alone_and_prints_every_other_page(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(monkeypatch) as (one, said, ran):
        assert post(one, page(test=True)) == 204, "a test that a person sends waits for that person"
        until(lambda: len(said) == 1, "it is printed")
        assert said == [
            "TEST PAGE: It  [2Jburns.\n  It calls Ada  [2J (level 1). `octant oncall ack 1a2b3c4d --as YOU` acknowledges it."
        ]
        one.acknowledges = True
        assert post(one, page(test=False)) == 204
        until(lambda: len(said) == 2, "it is printed")
        assert ran == []
        assert post(one, page(test=True)) == 204
        until(lambda: ran, "it is acknowledged")
        assert ran[0][-4:] == ["ack", "1a2b3c4d-0000", "--as", "the demo's receiver"]
        assert post(one, {"type": "oncall.handoff", "data": {}}) == 204
        assert len(said) == 2


def test_a_page_of_a_higher_level_says_so_and_its_end_is_printed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(monkeypatch) as (one, said, ran):

        def printed(number: int) -> bool:
            return len(said) == number

        calls = ((1, "Ada"), (2, "Grace"), (3, ""))
        for number, (level, person) in enumerate(calls, 1):
            assert post(one, page(test=False, level=level, person=person)) == 204
            until(partial(printed, number), "it is printed")
        assert [post(one, page(test=False, action="resolve")) for _ in calls] == [204] * 3
        until(partial(printed, 4), "its end is printed")
        one.acknowledges = True
        assert [post(one, page(test=True, action=action)) for action in ("trigger", "resolve")] == [204] * 2
        until(lambda: ran, "it is acknowledged")
    assert [line.partition(" `")[0] for line in said] == [
        "PAGE: It  [2Jburns.\n  It calls Ada (level 1).",
        "PAGE TO LEVEL 2: It  [2Jburns.\n  It calls Grace (level 2).",
        "PAGE TO LEVEL 3: It  [2Jburns.\n  It calls no person (level 3).",
        "PAGE OVER: It  [2Jburns.",
    ]  # fmt: skip


def ticket(status: str, name: str = "OctantBreakerOpen") -> dict[str, Any]:
    alert = {
        "status": status, "labels": {"alertname": name}, "startsAt": "2026-11-30T18:00:00Z",
        "annotations": {"summary": "The circuit of \x1b[2Ja/b is open."},
    }  # fmt: skip
    return {"alerts": [alert]}


def test_a_ticket_is_printed_once_when_it_begins_and_once_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def sent(message: dict[str, Any], token: str) -> int:
        request = urllib.request.Request(one.tickets, json.dumps(message).encode(), {"authorization": f"Bearer {token}"})  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=120) as answered:  # noqa: S310 - loopback
                return int(answered.status)
        except urllib.error.HTTPError as refused:
            refused.close()
            return refused.code

    with listening(monkeypatch) as (one, said, ran):
        assert sent(ticket("firing"), "another's") == 401
        statuses = [sent(ticket(status), token_of(SECRET)) for status in ("firing", "firing", "resolved", "resolved")]
        assert statuses == [204] * 4
        assert sent(ticket("firing", "OctantOther"), token_of(SECRET)) == 204
        assert said == [
            "TICKET: OctantBreakerOpen: The circuit of  [2Ja/b is open.",
            "TICKET OVER: OctantBreakerOpen: The circuit of  [2Ja/b is open.",
            "TICKET: OctantOther: The circuit of  [2Ja/b is open.",
        ]
        assert (ran, post(one, ticket("firing"))) == ([], 204), "a signed page is none that calls"


def test_a_receiver_on_this_machine_is_for_pages_in_development_alone() -> None:
    here = PagingSettings(receivers=("webhook",), webhook_url="http://127.0.0.1:4000/page")
    off = PagingSettings(webhook_url="http://127.0.0.1:4000/page")
    elsewhere = PagingSettings(webhook_url="https://pages.example/page")
    assert _on_this_machine(Settings(paging=here, environment="development")) == {"127.0.0.1"}
    assert _on_this_machine(Settings(paging=elsewhere, environment="development")) == set()
    assert _on_this_machine(Settings(paging=off, environment="development")) == set()
    assert _on_this_machine(Settings(paging=here, environment="staging", secret_key=SecretStr("s" * 32))) == set()
    assert Settings(paging=here).webhook_allowed_hosts == set(), "a caller's webhook does not go there"


def test_the_demos_receiver_takes_nothing_that_its_service_did_not_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(monkeypatch) as (one, said, ran):
        one.acknowledges = True
        assert post(one, page(test=True), secret=b"another secret of thirty-two bytes") == 401
        assert post(one, page(test=True), changed=json.dumps(page(test=True, person="Other"))) == 401
        assert (said, ran) == ([], [])


@pytest.mark.parametrize("name", ["content-length", "webhook-timestamp"])
@pytest.mark.parametrize("value", ["-1", "x", "9" * 5000, "²", ""])
def test_a_number_that_is_none_is_refused_and_ends_nothing(name: str, value: str, capfd: pytest.CaptureFixture[str]) -> None:
    receiver = DemoReceiver(SECRET, lambda _: None)
    with receiver.listening():
        to = urlsplit(receiver.environment["OCTANT_PAGING__WEBHOOK_URL"])
        link = http.client.HTTPConnection(to.hostname or "", to.port, timeout=120)
        link.putrequest("POST", to.path)
        for header, sent in {"content-length": "2", "webhook-timestamp": str(int(time.time())), name: value}.items():
            link.putheader(header, sent.encode("latin-1"))
        link.endheaders(b"{}")
        assert link.getresponse().status == 401
    assert "Traceback" not in capfd.readouterr().err


def test_a_log_that_cannot_be_read_ends_no_demo(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"at": "2026-')
    said: list[str] = []
    Programme(tmp_path, said.append, None).begin(Settings(state_dir=tmp_path), "http://here")
    assert "Nothing is rehearsed here" in said[0]
