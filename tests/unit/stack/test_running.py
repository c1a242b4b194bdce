"""The note of a demo counts while the demo runs."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest
from conftest import ROOT, own_database
from forked import run_module

from app.settings import Settings, load
from app.stack.running import NOTE, Demo, find, fingerprint, given, noted
from app.stack.welcome import introduction, operators_address

RELATIVE = Path(".octant")


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    """A demo with this process as its own, and stores that do not answer."""
    folder = tmp_path.resolve() / ".octant"
    folder.mkdir()
    env = {
        "OCTANT_VALKEY_URL": "redis://127.0.0.1:1/0",
        "OCTANT_DATABASE_URL": "postgresql+psycopg://postgres@/octant?host=%2Fnonexistent",
        "OCTANT_STATE_DIR": str(folder),
    }
    return Demo(
        os.getpid(), psutil.Process().create_time(), "http://127.0.0.1:1", env, ("openai",), 1, fingerprint(Settings()), folder
    )


def test_a_demo_is_found_from_its_folder_and_from_any_below(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    below = demo.folder.parent / "a" / "b c"
    below.mkdir(parents=True)
    with noted(demo):
        for here in (demo.folder.parent, below):
            monkeypatch.chdir(here)
            assert find(RELATIVE) == demo
        assert find(demo.folder) == demo
    assert find(RELATIVE) is None
    assert not (demo.folder / NOTE).exists()


def test_the_note_is_its_owners_alone(demo: Demo) -> None:
    with noted(demo):
        assert (demo.folder / NOTE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("change", [{"started": 1.0}, {"pid": 2**22 + 1}])
def test_a_note_of_a_demo_that_is_gone_is_not_used(demo: Demo, change: dict[str, float]) -> None:
    """Its process id may be another process by now."""
    with noted(replace(demo, **change)):  # type: ignore[arg-type]
        assert find(demo.folder) is None


def test_a_command_finds_the_demo_though_its_stores_are_away(demo: Demo) -> None:
    """The kill switch is needed most when a store hangs, and needs only the other one."""
    with noted(demo):
        run = command(demo.folder.parent, "kill", "status")
    assert "using the demo" in run.stderr
    assert "Postgres and Valkey did not answer" in run.stderr
    assert f"touch {demo.folder / 'stop'}" in run.stderr


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_note_that_others_may_write_is_not_used(demo: Demo, mode: int) -> None:
    """Another user's note would lead an operator's command to stores of that user's choice."""
    with noted(demo):
        (demo.folder / NOTE).chmod(mode)
        assert find(demo.folder) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_a_note_of_another_user_is_not_used(demo: Demo) -> None:
    with noted(demo):
        os.chown(demo.folder / NOTE, 12345, 12345)
        assert find(demo.folder) is None


def test_a_note_that_is_a_link_is_not_used(demo: Demo) -> None:
    """The file behind a planted link may be this user's own."""
    with noted(demo):
        (demo.folder / NOTE).rename(demo.folder / "elsewhere")
        (demo.folder / NOTE).symlink_to(demo.folder / "elsewhere")
        assert find(demo.folder) is None


def test_a_note_that_is_a_pipe_is_not_waited_for(demo: Demo) -> None:
    os.mkfifo(demo.folder / NOTE)
    assert find(demo.folder) is None


def test_a_note_is_the_file_that_was_checked(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file takes its place right after the check."""
    checked = os.fstat

    def check_and_replace(descriptor: int) -> os.stat_result:
        about = checked(descriptor)
        (demo.folder / "planted").write_text(json.dumps({"pid": 1}))
        (demo.folder / "planted").replace(demo.folder / NOTE)
        return about

    with noted(demo):
        monkeypatch.setattr(os, "fstat", check_and_replace)
        assert find(demo.folder) == demo
        monkeypatch.undo()
        assert find(demo.folder) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_a_note_in_a_folder_of_another_user_is_not_used(demo: Demo) -> None:
    with noted(demo):
        os.chown(demo.folder, 12345, 12345)
        assert find(demo.folder) is None


def test_a_note_sets_only_names_of_ours(demo: Demo) -> None:
    with noted(replace(demo, env={**demo.env, "LD_PRELOAD": "planted.so", "PATH": "planted"})):
        assert find(demo.folder) == demo


def test_set_values_win_over_the_note_and_empty_ones_do_not(demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(
        "OCTANT_PORT=8001\nOCTANT_VALKEY_URL=\n" + """OCTANT_ANTHROPIC='{"base_url": "http://localhost:5/v1"}'\n"""
    )
    note = {"OCTANT_PORT": "9001", "OCTANT_METRICS_PORT": "9002", "OCTANT_ADMIN_PORT": "9003"}
    note |= {"OCTANT_VALKEY_URL": "redis://127.0.0.1:1/0", "OCTANT_ANTHROPIC__BASE_URL": "http://localhost:6"}
    with patch.dict(os.environ):
        for name in note:
            os.environ.pop(name, None)
        os.environ |= {"OCTANT_METRICS_PORT": "8002"}
        replace(demo, env=note).hand_over_settings()
        settings = load()
    assert (settings.port, settings.metrics_port, settings.admin_port) == (8001, 8002, 9003)
    assert settings.valkey_url == "redis://127.0.0.1:1/0"
    assert settings.vendor("anthropic").base_url == "http://localhost:5/v1"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": "x"}', '{"pid": 1, "another": "version"}'])
def test_a_note_that_is_no_note_is_not_used(demo: Demo, text: str) -> None:
    (demo.folder / NOTE).write_text(text)
    assert find(demo.folder) is None


def command(where: Path, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run `octant` in a folder, forked from a process that has imported its code."""
    return run_module("app.cli", *words, env=environment(**env), cwd=where, seconds=120)


def program(where: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the real program in a folder."""
    there = [sys.executable, "-m", "app.cli", *words]
    return subprocess.run(there, cwd=where, env=environment(), capture_output=True, text=True, timeout=120, check=False)


def environment(**env: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OCTANT_")}
    return {**kept, "PYTHONPATH": str(ROOT), **env}


def test_without_stores_or_a_demo_a_command_says_what_to_do(tmp_path: Path) -> None:
    run = program(tmp_path, "budget", "show", "acme")
    assert run.returncode == 1
    assert "there is no .octant here or in a folder above" in run.stderr
    assert "Start a demo with `make demo` in another terminal" in run.stderr
    (tmp_path / ".octant").mkdir()
    assert f"{tmp_path.resolve() / '.octant'} has no demo that runs" in command(tmp_path, "key", "list").stderr


@pytest.mark.parametrize(
    "env",
    [
        {"OCTANT_ENVIRONMENT": "staging", "OCTANT_SECRET_KEY": "a-secret-of-more-than-thirty-two-letters"},
        {"OCTANT_ENVIRONMENT": "production", "OCTANT_SECRET_KEY": "a-secret-of-more-than-thirty-two-letters"},
        {"OCTANT_VALKEY_URL": "redis://127.0.0.1:1/0"},
    ],
)
def test_settings_win_and_outside_development_no_demo_is_looked_for(demo: Demo, env: dict[str, str]) -> None:
    with noted(demo):
        run = command(demo.folder.parent, "budget", "show", "acme", **env)
    assert run.returncode == 1
    assert "using the demo" not in run.stderr
    assert "Set OCTANT_DATABASE_URL" in run.stderr


def test_a_demo_with_another_secret_is_not_used(demo: Demo) -> None:
    """A key made with ours would not work there."""
    with noted(demo):
        run = command(demo.folder.parent, "key", "list", OCTANT_SECRET_KEY="another-secret-of-more-than-32-letters")
    assert run.returncode == 1
    assert "runs with another OCTANT_SECRET_KEY" in run.stderr


def test_a_command_that_changes_a_demo_names_it_at_its_end(demo: Demo, database_url: str, valkey_url: str) -> None:
    """An operator who meant production notices. Only a demo of the command's own folder is changed."""
    here = demo.folder.parent
    below = here / "below"
    below.mkdir()
    with own_database(database_url, "changed_demo") as url:
        env = {**demo.env, "OCTANT_DATABASE_URL": url, "OCTANT_VALKEY_URL": valkey_url}
        with noted(replace(demo, env=env)):
            made, failed = command(here, "tenant", "create", "changed"), command(here, "key", "revoke", "none")
            same = command(here, "budget", "reconcile")
            read, refused = command(below, "key", "list", "changed"), command(below, "tenant", "create", "other")
    last = f"octant: this changed the demo at {demo.url} ({demo.folder})"
    assert made.stderr.splitlines()[-1] == last
    assert made.returncode == 0
    assert "ledger" in same.stdout
    assert last not in same.stderr, "it changed nothing: other tests' counters may differ, and are not mended"
    assert (failed.returncode, last in failed.stderr) == (1, False), failed.stderr
    assert (read.returncode, read.stderr) == (0, f"octant: using the demo at {demo.url} ({demo.folder})\n")
    assert refused.returncode == 1
    assert f"The demo at {demo.url} runs in a folder above ({demo.folder})" in refused.stderr
    assert "run it where the demo was started" in refused.stderr
    assert "using the demo" not in refused.stderr


def test_a_provider_that_is_real_in_the_demo_is_not_broken(demo: Demo) -> None:
    with noted(demo):
        run = command(demo.folder.parent, "simulate", "outage", "anthropic")
    assert run.returncode == 1
    assert "anthropic is real: only a simulated provider can be broken" in run.stderr


def test_the_note_holds_no_key_of_a_real_vendor(demo: Demo) -> None:
    with noted(demo):
        note = json.loads((demo.folder / NOTE).read_text())
    assert note["secret"] == fingerprint(Settings())
    assert Settings().secret.decode() not in json.dumps(note)


def test_the_demos_settings_are_given_but_for_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTANT_DEFAULT_USER_DAILY_CAP", "1.50")
    monkeypatch.setenv("OCTANT_SECRET_KEY", "s" * 40)
    monkeypatch.setenv("OCTANT_OPENAI__API_KEY", "of-a-vendor")
    assert given()["OCTANT_DEFAULT_USER_DAILY_CAP"] == "1.50"
    assert not {"OCTANT_SECRET_KEY", "OCTANT_OPENAI__API_KEY", "PATH"} & set(given())


@pytest.mark.parametrize("folder", [RELATIVE, Path("a b/state")])
def test_the_invitation_names_a_state_folder_that_commands_would_not_find(folder: Path) -> None:
    words = introduction(Settings(state_dir=folder), "oct_key", simulated=False)
    line = next(one for one in words.splitlines() if one.startswith("export KEY=oct_key"))
    assert ("OCTANT_STATE_DIR" in line) == (folder != RELATIVE)
    assert folder == RELATIVE or line.endswith(f" OCTANT_STATE_DIR='{folder.resolve()}'")


@pytest.mark.parametrize(("admin_port", "address"), [(0, "http://127.0.0.1:8001"), (8003, "http://[::1]:8003")])
def test_the_demos_console_is_at_the_operators_own_port_where_there_is_one(admin_port: int, address: str) -> None:
    assert operators_address(Settings(port=8001, admin_host="::1", admin_port=admin_port)) == address
