"""Every command that changes something is in the operators' log (S8, O8).

Also erase and export by command.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commands import every_command
from conftest import own_database
from fastapi.routing import APIRoute
from redis import Redis
from typer.main import get_command
from typer.testing import CliRunner

from app.audit.actions import ActionLog
from app.budget.scopes import key, shard_of
from app.cli import app, privacy
from app.main import create_app
from app.security.redaction.redactor import Redactor
from app.settings import load
from evals.__main__ import app as evals

# These change nothing that serves callers, each for the reason beside it. A command neither here nor audited fails the test.
READS = {
    "audit list", "audit verify", "budget alerts", "budget show", "budget top", "budget worst-case", "calls", "calls show",
    "check", "escalate list", "escalate show", "incident handoff", "incident list", "incident report", "incident show",
    "index check", "jobs status", "key list", "kill status", "oncall calendar", "oncall check", "oncall diff",
    "oncall handover", "oncall ics", "oncall maintenance list", "oncall next", "oncall now", "oncall page list",
    "oncall page show", "oncall report", "provider-key status", "providers",
    "providers times", "readiness", "redaction list", "redaction test",
    "rehearse verify", "release code", "release compare", "release diff", "release hashes", "release history",
    "release list", "release profile", "release rehearsals", "release status", "release verify", "release why", "requests",
    "simulate list", "status", "stores", "tenant list", "threats", "trace",
}  # fmt: skip
RUNS = {"demo", "run", "serve", "worker"}  # they serve
LOCAL = {
    "capacity",  # a sum
    "drill gameday",  # on a service of its own in a temporary folder
    "drill injection",  # on a service of its own in a temporary folder
    "index build",  # writes a file named by its content
    "rehearse",  # as a drill
    "release new",  # writes an author's draft
    "release pin",  # edits an author's draft
    "release record",  # writes an author's list of hashes
    "runbook",  # prints or writes a copy of the runbook
    "reset",  # removes the demo's stores, and the log with them
}


def mark_of(command: Any) -> str | None:  # noqa: ANN401 - as above
    """The mark of `@changes` on the function behind a command: typer wraps it once more."""
    function = command.callback
    while function is not None and not hasattr(function, "changes"):
        function = getattr(function, "__wrapped__", None)
    return function.changes if function is not None else None


def test_every_command_reads_or_is_audited_under_its_own_name() -> None:
    known = READS | RUNS | LOCAL
    found = dict(every_command(get_command(app)))
    assert {name: mark_of(command) for name, command in found.items() if name not in known} == {
        name: name for name in found if name not in known
    }
    assert [name for name in known if name in found and mark_of(found[name])] == []
    assert known <= set(found)


def test_no_endpoint_for_operators_changes_anything_without_the_log() -> None:
    """A new one writes to an `ActionLog`, and has its name here."""
    audited = {"/v1/admin/incidents/{number}/notes"}
    made = create_app(load(database_url="postgresql+psycopg://x@/x", valkey_url="redis://127.0.0.1:1/0"))
    from sqlalchemy.ext.asyncio import create_async_engine

    from app.admin import calls, incidents
    from app.oncall.incidents.duty import duties_from
    from app.oncall.rota.covers import Covers

    engine = create_async_engine("postgresql+psycopg://x@/x")
    log = ActionLog(engine, secret=b"made up", notes=Path("unused"))
    redactor = Redactor(b"made up")
    rotation = duties_from(Path("unused"), Covers(None, file=Path("unused")))
    routers = (calls.router(engine, log, redactor), incidents.router(engine, log, redactor, rotation))
    routes = [*made.routes, *(route for router in routers for route in router.routes)]
    admin = [route for route in routes if isinstance(route, APIRoute) and route.path.startswith("/v1/admin")]
    assert admin
    assert [route.path for route in admin if route.methods != {"GET"} and route.path not in audited] == []


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def url(database_url: str) -> Iterator[str]:
    with own_database(database_url, "operators") as url:
        yield url


@pytest.fixture
def run(url: str, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """An operator's command, in this process: twenty of them would take a minute as their own."""
    for name, value in {"DATABASE_URL": url, "VALKEY_URL": valkey_url, "STATE_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(f"OCTANT_{name}", value)

    def ran(*command: str, database: str = url, valkey: str = valkey_url) -> Ran:
        with monkeypatch.context() as patched:
            patched.setenv("OCTANT_DATABASE_URL", database)
            patched.setenv("OCTANT_VALKEY_URL", valkey)
            result = CliRunner().invoke(app, list(command))
        return Ran(result.exit_code, result.stdout, f"{result.stderr}{result.exception or ''}")

    return ran


def logged(run: Run) -> list[str]:
    return run("audit", "list", "--count", "200").out.splitlines()


CHANGES = [
    (["tenant", "create", "audited"], "tenant create  tenant_id=audited"),
    (["key", "create", "audited", "--name", "k", "--user", "grace@example.com"], "tenant_id=audited name=k user=user#"),
    (["key", "revoke", "oct_1a2b3c4d_" + "x" * 40], "key revoke  key_id=1a2b3c4d  [not_found]"),
    (["budget", "set", "audited", "--day", "5"], "budget set  tenant=audited day=5, before: --day 100.00  [ok]"),
    (["budget", "reconcile", "--fix"], "budget reconcile  fix  ["),
    (["kill", "tenant", "audited", "--reason", "rogue\n grace@example.com"], "kill tenant  name=audited  [ok]  rogue  <email:"),
    (["resume", "tenant", "audited"], "resume  scope=tenant name=audited  [ok]"),
    (["kill", "user", "audited", "grace@example.com", "--reason", "rogue"], "kill user  tenant=audited user=user#"),
    (["resume", "user", "audited", "grace@example.com"], "resume  scope=user name=audited user=user#"),
    (["resume", "user", "audited/grace@example.com"], "resume  scope=user name=audited/user#"),
    (["kill", "provider", "unknown", "--reason", "slip"], "kill provider  name=unknown  [not_found]  slip"),
    (["release", "activate", "never", "--reason", "no"], "release activate  release_id=never  ["),
    (["rollback", "--to", "never", "--reason", "no"], "rollback  to=never  ["),
    (["providers", "close", "openai/gpt"], "providers close  target=openai/gpt  [not_found]"),
    (["webhook", "secret", "audited"], "webhook secret  tenant=audited  [ok]"),
    (["escalate", "--tenant", "audited", "--text", "grace is angry"], "escalate  tenant=audited  [ok]"),
    (["oncall", "cover", "eve", "--until", "2h", "--reason", "ill"], "oncall cover  person=eve until=2h  [invalid_request]  ill"),
    (["oncall", "ack", "00000000"], "oncall ack  page_id=00000000  [not_found]"),
    (["oncall", "page", "resolve", "00000000", "--reason", "slip"], "oncall page resolve  page_id=00000000  [not_found]  slip"),
    (["oncall", "page", "--test"], "oncall page  wait=15m  ["),
    (["oncall", "maintenance", "start", "--for", "1m", "--match", "a=b", "--reason", "r"], "oncall maintenance start  lasts=1m"),
    (["oncall", "maintenance", "end", "1"], "oncall maintenance end  number=1  [ok]"),
    (["seed"], "seed  [ok]"),
    (["migrate"], "migrate  [ok]"),
]  # fmt: skip


def test_each_of_them_leaves_a_row_that_names_no_user_and_no_key(run: Run) -> None:
    """Run for real, those that succeed and those that do not."""
    for command, _ in CHANGES:
        run(*command)
    log = "\n".join(" ".join(line.split()) for line in logged(run))
    assert [row for _, row in CHANGES if " ".join(row.split()) not in log] == []
    assert "os:" in log
    assert not [word for word in ("grace", "x" * 40) if word in log]
    verified = run("audit", "verify")
    begun = 1  # of the test page, whose command waits for a person
    assert (verified.code, verified.out.startswith(f"{len(CHANGES) + begun} actions")) == (0, True)


def test_a_kill_without_postgres_works_and_is_noted_and_reported(run: Run, tmp_path: Path) -> None:
    away = "postgresql+psycopg://absent@127.0.0.1:9/nothing"
    killed = run("kill", "provider", "anthropic", "--reason", "both are down", database=away)
    assert (killed.code, "is stopped" in killed.out, "noted in" in killed.err) == (0, True, True)
    assert (tmp_path / "actions.jsonl").read_text()
    assert run("resume", "provider", "anthropic").code == 0
    rows = logged(run)
    assert "resume" in rows[0]
    assert "kill provider  name=anthropic  [ok]  both are down (noted while Postgres was away)" in rows[1]
    assert run("audit", "verify").code == 0


@pytest.mark.parametrize("absent", ["OCTANT_DATABASE_URL", "OCTANT_VALKEY_URL"])
def test_a_stop_needs_only_one_address_of_a_store(run: Run, absent: str) -> None:
    """P5: an operator at 3 a.m. may have only one at hand."""
    half = {"database": ""} if absent == "OCTANT_DATABASE_URL" else {"valkey": ""}
    killed = run("kill", "provider", "anthropic", "--reason", "half", **half)
    assert (killed.code, "is stopped" in killed.out, f"{absent} is not set here" in killed.err) == (0, True, True), killed
    status = run("kill", "status", **half)
    assert "provider anthropic: stopped by" in status.out
    assert f"{absent} is not set here" in status.err
    assert "provider anthropic: stopped by" in run("kill", "status").out
    resumed = run("resume", "provider", "anthropic")
    assert (resumed.code, "Nothing is stopped" in run("kill", "status").out) == (0, True)
    assert run("budget", "show", "audited", **half).code == 1, "other commands need both"


@pytest.mark.parametrize("command", [("kill", "all", "--reason", "none"), ("resume", "all"), ("kill", "status")])
@pytest.mark.parametrize("environment", ["development", "staging", "no such environment"])
def test_a_switch_without_any_store_names_the_ways_out_of_band(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], environment: str
) -> None:
    monkeypatch.setenv("OCTANT_ENVIRONMENT", environment)
    monkeypatch.setenv("OCTANT_SECRET_KEY", "a-secret-of-more-than-thirty-two-letters")
    refused = run(*command, database="", valkey="")
    ways = f"`touch {'.octant' if environment.startswith('no') else tmp_path}/stop`", "OCTANT_STOPPED=all"
    assert refused.code == 1
    assert [way for way in ways if way not in refused.err] == []


def test_without_a_state_folder_nothing_is_noted_and_none_is_made(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No service reads a note in a folder that was made where the operator happened to stand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCTANT_STATE_DIR", ".octant")
    away = "postgresql+psycopg://absent@127.0.0.1:9/nothing"
    killed = run("kill", "all", "--reason", "wrong addresses", database=away, valkey="redis://127.0.0.1:9/0")
    assert (killed.code, "`touch .octant/stop` on every replica, in the folder where it was started" in killed.err) == (1, True)
    assert "NOT in the audit log: Postgres does not answer, and there is no folder .octant to note it in: kill all" in killed.err
    assert run("kill", "self-test", "--flips", "1").code == 1, "no worker runs"
    assert "kill self-test" in logged(run)[0]
    assert not (tmp_path / ".octant").exists()


def test_a_resume_names_the_stops_that_hold(run: Run) -> None:
    run("tenant", "create", "held")
    for scope, name in (("provider", "anthropic"), ("tenant", "held")):
        run("kill", scope, name, "--reason", "two stops")
    needless, other = run("resume", "all"), run("resume", "provider", "openai")
    assert (needless.code, other.code) == (1, 1)
    held = "Stopped now: provider anthropic (`octant resume provider anthropic` ends it)"
    assert f"all is not stopped. {held}" in needless.err
    assert f"openai is not stopped. {held}" in other.err
    one = run("resume", "provider", "anthropic")
    assert (one.code, "Stopped now: tenant held (`octant resume tenant held` ends it)." in one.err) == (0, True)
    assert run("resume", "tenant", "held").err == ""


def test_a_cover_of_the_rotation_holds_at_once_and_leaves_a_row(run: Run, tmp_path: Path) -> None:
    """P1: in ten seconds, by any operator; also while Postgres is away, and then in a file that the command names."""
    on_call = run("oncall", "now").out.split(": ")[1]
    covered = run("oncall", "cover", on_call, "--until", "2h", "--reason", "dinner")
    assert (covered.code, f" covers {on_call} from " in covered.out) == (0, True)
    assert "instead of" in run("oncall", "now").out.splitlines()[0]
    assert on_call not in run("oncall", "now").out.splitlines()[0]
    assert "  1  " in next(line for line in run("oncall", "report").out.splitlines() if line.startswith(covered.out.split()[0]))
    assert f"oncall cover  person={on_call} until=2h  [ok]  dinner" in logged(run)[0]
    away = "postgresql+psycopg://absent@127.0.0.1:9/nothing"
    assert on_call in run("oncall", "now", database=away).out.splitlines()[0]
    again = run("oncall", "cover", on_call, "--until", "1h", database=away)
    assert (again.code, f"this is in {tmp_path}/covers.jsonl" in again.out) == (0, True)
    there = run("oncall", "now", database=away)
    assert "instead of" in there.out.splitlines()[0]
    assert "covers entered elsewhere are missing" in there.err


def test_erase_refuses_without_yes_counts_dry_and_forgets(run: Run, tmp_path: Path) -> None:
    run("tenant", "create", "forgetful")
    run("key", "create", "forgetful", "--name", "k", "--user", "ada@example.com", "--quiet")
    who = ["--tenant", "forgetful", "--user", "ada@example.com"]
    refused = run("erase", *who)
    assert (refused.code, "give --yes" in refused.err) == (1, True)
    assert "2 rows." in run("erase", *who, "--dry-run").out
    out = tmp_path / "ada.jsonl"
    assert "2 rows" in run("export", *who, "--out", str(out), "--reason", "request 7").out
    assert (out.read_text().count("ada@example.com"), out.stat().st_mode & 0o077) == (2, 0)
    assert "2 rows." in run("erase", *who, "--yes", "--no-wait", "--reason", "request 7").out
    assert "0 rows." in run("erase", *who, "--dry-run").out
    assert "No tenant" in run("erase", "--tenant", "unknown", "--user", "x", "--yes").err
    rows = logged(run)
    assert any("export  tenant=forgetful user=user#" in row and "request 7" in row for row in rows)
    assert any("erase  tenant=forgetful user=user#" in row and "[ok]  request 7" in row for row in rows)
    assert "ada@" not in "\n".join(rows)


def test_erase_says_that_a_stream_outlives_its_second_pass(run: Run, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its money is still held then: its ledger entry and its answer come after."""
    monkeypatch.setattr(privacy, "MARGIN", -60.0)  # with the deadline's 60 seconds: no wait
    run("tenant", "create", "streaming")
    erase = ("erase", "--tenant", "streaming", "--user", "ada", "--yes", "--reason", "request 8")
    assert "still under way" not in run(*erase).out
    counter = key(shard_of("streaming"), "streaming", "day", "2026-11-30") + ":user:ada"
    with Redis.from_url(valkey_url) as valkey:
        valkey.hset(counter, "held", "40")
        assert "A call is still under way" in run(*erase).out
        valkey.delete(counter)


def test_an_export_of_records_to_a_file_leaves_a_row_with_its_filter(run: Run, tmp_path: Path) -> None:
    """Records leave the service: the row names taker and user, by pseudonym."""
    out = tmp_path / "taken.jsonl"
    assert "0 records in" in run("calls", "--tenant", "audited", "--user", "grace@example.com", "--out", str(out)).err
    row = logged(run)[0]
    assert "calls export  " in row
    assert "tenant=audited user=user#" in row
    assert "grace" not in row


@pytest.mark.parametrize(
    "command",
    [
        ["dismiss", "999999", "--reason", "none"],
        ["reopen", "999999"],
        ["promote", "999999", "--mode", "unsupported_claim", "--id", "x-y"],
    ],
)
def test_a_decision_on_a_candidate_leaves_a_row(command: list[str], run: Run) -> None:
    result = CliRunner().invoke(evals, command)
    assert result.exit_code == 2, "there is no such candidate"
    row = logged(run)[0]
    assert f"evals {command[0]}  number=999999" in row
    assert "[ok]" not in row
