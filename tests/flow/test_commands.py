"""Operators' commands refuse input that would mislead at 3 a.m."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
from commands import Ran, run
from conftest import LIVE_RELEASE, RELEASES, ROOT, octant

TRIES = 10
T = TypeVar("T", Ran, "subprocess.CompletedProcess[str]")


def tried(program: Callable[[], T], code: int = 1) -> T:
    """Run a command until it ends with this code, at most ten times.

    On a busy machine a store may take longer than a command waits for it; `resume` goes ahead then.
    """
    for _ in range(TRIES - 1):
        if (ran := program()).returncode == code:
            return ran
    return program()


def refused(env: Mapping[str, str], *command: str) -> str:
    ran = tried(lambda: run(env, *command))
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stderr


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["kill", "provider", "antropic", "--reason", "a slip of the pen"], "Known: anthropic, openai"),
        (["kill", "tenant", "acne", "--reason", "a slip of the pen"], "No tenant 'acne'"),
        (["kill", "user", "acne", "grace", "--reason", "a slip of the pen"], "No tenant 'acne'"),
        (["resume", "user", "grace"], "as TENANT/USER"),
        (["resume", "all"], "all is not stopped"),
        (["resume", "everything"], "one of all, provider, model, prompt, feature, tool, tenant, user"),
        (["release", "pin", LIVE_RELEASE], "it is immutable"),
        (["release", "activate", "2020-01-01", "--reason", "r"], "Known: 0-start"),
        (["rollback", "--to", "2020-01-01", "--reason", "r"], "was never live"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_a_command_that_would_mislead_is_refused_and_says_what_is_known(
    stack_env: dict[str, str], command: list[str], message: str
) -> None:
    assert message in refused(stack_env, *command)
    assert octant(stack_env, "kill", "status") == "Nothing is stopped.\n"


def test_a_release_that_does_not_resolve_here_is_not_activated(stack_env: dict[str, str], tmp_path: Path) -> None:
    """B3: on a machine without the index."""
    releases = shutil.copytree(ROOT / "releases", tmp_path / "releases")
    text = (releases / "0-start.toml").read_text().replace('id = "0-start"', 'id = "unbuilt"')
    (releases / "unbuilt.toml").write_text(text + '\n[indexes]\nlamps = "lamps-000000000001"\n')
    elsewhere = {**stack_env, "OCTANT_RELEASES_DIR": str(releases)}
    assert "Run `octant index build`" in refused(elsewhere, "release", "activate", "unbuilt", "--reason", "r")
    assert f"live  {LIVE_RELEASE}" in octant(stack_env, "release", "list")


def test_the_live_release_is_compared_with_the_one_before_it(stack_env: dict[str, str]) -> None:
    """Beside itself a release changes nothing, and an operator took that for no change."""
    first, *changes = octant(stack_env, "release", "diff", LIVE_RELEASE).splitlines()
    earlier, _, named = first.partition(" -> ")
    assert earlier != LIVE_RELEASE
    assert named == f"{LIVE_RELEASE}, which is live: compared with the one before it"
    assert changes
    others = octant(stack_env, "release", "diff", RELEASES[0])
    assert others.startswith(f"{LIVE_RELEASE} -> {RELEASES[0]}\n")
    assert re.search(r"^evals [\w-]+: ", others, re.MULTILINE), "what the suites say of the change"


def test_without_a_store_the_switch_names_the_way_out_of_band(stack_env: dict[str, str]) -> None:
    """P5."""
    away = {**stack_env, "OCTANT_VALKEY_URL": "redis://127.0.0.1:1/0"}
    known = {**away, "OCTANT_DATABASE_URL": "postgresql+psycopg://127.0.0.1:1/none"}
    assert f"`touch {away['OCTANT_STATE_DIR']}/stop` on every replica" in refused(known, "kill", "all", "--reason", "r")
    message = refused(known, "kill", "tenant", "acme", "--reason", "r")
    assert "could not be checked" in message
    assert "/stop` on every replica" in message


def test_a_store_that_refuses_is_one_sentence_with_its_reason_and_no_password(stack_env: dict[str, str]) -> None:
    valkey = stack_env["OCTANT_VALKEY_URL"].replace("redis://", "redis://octant:hunter2@")
    for command in (["setup"], ["providers"], ["budget", "show", "acme"]):
        message = refused({**stack_env, "OCTANT_VALKEY_URL": valkey}, *command)
        assert "Valkey refuses this" in message
        assert "invalid username-password pair or user is disabled." in message
        assert "hunter2" not in message
    postgres = "postgresql+psycopg://octant:hunter2@127.0.0.1:1/none"
    for command in (["setup"], ["migrate"], ["key", "list"]):
        message = refused({**stack_env, "OCTANT_DATABASE_URL": postgres}, *command)
        assert "Postgres does not answer; look at OCTANT_DATABASE_URL. (connection failed" in message
        assert "hunter2" not in message


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (["key", "list"], 0, "acme"),
        (["kill", "status"], 0, "Nothing is stopped.\n"),
        (["resume", "all"], 1, "all is not stopped"),
        (["calls", "--no-such-option"], 2, "No such option"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_the_program_itself_says_and_exits_as_its_commands_do(
    stack_env: dict[str, str], api_key: str, command: list[str], code: int, message: str
) -> None:
    """The other tests run commands in their own process; here is the program that operators run."""
    program = [sys.executable, "-m", "app.cli", *command]
    options: dict[str, Any] = {"cwd": ROOT, "env": stack_env, "capture_output": True, "text": True, "timeout": 110}
    ran = tried(lambda: subprocess.run(program, check=False, **options), code)
    assert (ran.returncode, "Traceback" in ran.stderr) == (code, False), ran.stdout + ran.stderr
    assert message in (ran.stderr if code else ran.stdout)
    inside = tried(lambda: run(stack_env, *command), code)
    assert (inside.returncode, inside.stdout, message in inside.stdout + inside.stderr) == (ran.returncode, ran.stdout, True)
