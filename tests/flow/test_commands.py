"""Operators' commands refuse what would mislead at 3 a.m."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import LIVE_RELEASE, ROOT, octant


def refused(env: Mapping[str, str], *command: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "app.cli", *command], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 1, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    return run.stderr


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["kill", "provider", "antropic", "--reason", "a slip of the pen"], "Known: openai, anthropic"),
        (["kill", "tenant", "acne", "--reason", "a slip of the pen"], "No tenant 'acne'"),
        (["resume", "all"], "all is not stopped"),
        (["resume", "everything"], "one of all, provider, tenant"),
        (["release", "pin", LIVE_RELEASE], "it is immutable"),
        (["release", "activate", "2020-01-01", "--reason", "r"], "Known: 0-start"),
        (["rollback", "--to", "2020-01-01", "--reason", "r"], "was never live"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_a_command_that_would_mislead_is_refused_and_says_what_is_known(
    stack_env: dict[str, str], command: list[str], told: str
) -> None:
    assert told in refused(stack_env, *command)
    assert octant(stack_env, "kill", "status") == "Nothing is stopped.\n"


def test_a_release_that_does_not_resolve_here_is_not_activated(stack_env: dict[str, str], tmp_path: Path) -> None:
    """B3: on a machine without the index."""
    releases = shutil.copytree(ROOT / "releases", tmp_path / "releases")
    text = (releases / "0-start.toml").read_text().replace('id = "0-start"', 'id = "unbuilt"')
    (releases / "unbuilt.toml").write_text(text + '\n[indexes]\nlamps = "lamps-000000000001"\n')
    elsewhere = {**stack_env, "OCTANT_RELEASES_DIR": str(releases)}
    assert "Run `octant index build`" in refused(elsewhere, "release", "activate", "unbuilt", "--reason", "r")
    assert f"live  {LIVE_RELEASE}" in octant(stack_env, "release", "list")


def test_without_a_store_the_switch_names_the_way_out_of_band(stack_env: dict[str, str]) -> None:
    """P5."""
    away = {**stack_env, "OCTANT_VALKEY_URL": "redis://127.0.0.1:1/0"}
    known = {**away, "OCTANT_DATABASE_URL": "postgresql+psycopg://127.0.0.1:1/none"}
    assert f"`touch {away['OCTANT_STATE_DIR']}/stop` on every replica" in refused(known, "kill", "all", "--reason", "r")
    told = refused(known, "kill", "tenant", "acme", "--reason", "r")
    assert "could not be checked" in told
    assert "/stop` on every replica" in told
