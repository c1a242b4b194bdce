"""The embedded stores keep data and run at any path (G5)."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from conftest import ROOT
from redis import AuthenticationError, Redis

from app.domain.errors import Misconfigured
from app.stack import postgres_process
from app.stack.embedded import embedded_postgres, embedded_valkey, stop_left_overs


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder outside pytest's own: as root, Postgres runs as another user, which cannot enter that one."""
    made = Path(tempfile.mkdtemp(prefix="octant-embedded-")).resolve()
    yield made
    shutil.rmtree(made, ignore_errors=True)


def connect(url: str) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://"), autocommit=True)


def in_another_process(program: str, **env: str) -> "subprocess.CompletedProcess[str]":
    kept = {"PATH": os.environ["PATH"], **env}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, timeout=120, check=False)


def test_what_is_in_valkey_survives_in_a_folder_and_not_without_one(tmp_path: Path) -> None:
    for count in (1, 2):
        with embedded_valkey(tmp_path) as url, Redis.from_url(url) as valkey:
            assert valkey.incr("runs") == count
    with embedded_valkey(None) as url, Redis.from_url(url) as valkey:
        assert valkey.get("runs") is None


def test_a_password_closes_valkey_to_others_and_is_in_no_list_of_processes(tmp_path: Path) -> None:
    for count in (1, 2):  # the second reads its file first, and knows no password until then
        with embedded_valkey(tmp_path, password="v-e-r-y") as url, Redis.from_url(url) as valkey:
            assert valkey.incr("runs") == count
            with Redis.from_url(url.replace(":v-e-r-y@", "")) as stranger, pytest.raises(AuthenticationError):
                stranger.get("runs")
            listed = psutil.Process(int((tmp_path / "valkey.pid").read_text())).cmdline()
            assert "v-e-r-y" not in " ".join(listed)
    assert b"v-e-r-y" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_valkey_that_does_not_start_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").mkdir()
    (tmp_path / "appendonlydir" / "appendonly.aof.manifest").write_text("not a manifest\n")
    with pytest.raises(Misconfigured, match="Invalid AOF manifest"), embedded_valkey(tmp_path):
        pass
    assert not (tmp_path / "valkey.pid").exists()


def test_a_valkey_that_was_left_is_ended_and_its_data_kept(tmp_path: Path) -> None:
    program = f"""
import os, pathlib, redis
from app.stack import postgres_process
from app.stack.embedded import embedded_valkey
with embedded_valkey(pathlib.Path({str(tmp_path)!r})) as url:
    redis.Redis.from_url(url).set("money", 7)
    os._exit(9)
"""
    assert in_another_process(program, HOME=str(tmp_path)).returncode == 9
    left = psutil.Process(int((tmp_path / "valkey.pid").read_text()))
    assert left.is_running()
    with embedded_valkey(tmp_path) as url, Redis.from_url(url) as valkey:
        assert not left.is_running()
        assert valkey.get("money") == b"7"


@pytest.mark.parametrize("name", ["valkey/valkey.pid", "postgres/postmaster.pid"])
def test_a_stale_note_ends_no_process(tmp_path: Path, name: str) -> None:
    """The note names this test's own process, which is neither store."""
    note = tmp_path / name
    note.parent.mkdir()
    note.write_text(f"{os.getpid()}\n")
    assert stop_left_overs(tmp_path / "valkey", tmp_path / "postgres") == []
    assert not note.exists()


def test_what_is_in_postgres_survives_also_a_kill_and_a_stale_note(folder: Path) -> None:
    """Postgres was killed, and the process id in its note belongs to another process now."""
    with embedded_postgres(folder / "pg") as url:
        with connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS money")
        note = folder / "pg" / "postmaster.pid"
        lines = note.read_text().splitlines()
        postmaster = psutil.Process(int(lines[0]))
        postmaster.send_signal(signal.SIGKILL)
        postmaster.wait(120)
    note.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    with embedded_postgres(folder / "pg") as url, connect(url) as connection:
        assert connection.execute("SELECT money FROM kept").fetchone() == (7,)


def test_postgres_runs_with_an_empty_home_no_runtime_folder_and_a_long_path(folder: Path) -> None:
    """A socket's path has at most about 100 characters; a session switched by `su` names a runtime folder that does not exist."""
    home, deep = folder / "home", folder / ("a-folder-with-a-rather-long-name/" * 5)
    home.mkdir()
    deep.mkdir(parents=True)
    program = f"""
import pathlib, psycopg
from app.stack import postgres_process
from app.stack.embedded import embedded_postgres
with embedded_postgres(pathlib.Path({str(deep)!r}) / "pg") as url:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        print(connection.execute("SELECT current_database()").fetchone()[0])
"""
    run = in_another_process(program, HOME=str(home), XDG_RUNTIME_DIR="/nonexistent/runtime", TMPDIR=str(folder))
    assert run.stdout == "octant\n", run.stderr
    assert list(home.iterdir()) == []
    assert list(folder.glob("octant-*")) == [], "the short folder of the socket is gone with the server"


@pytest.mark.parametrize(
    "name",
    [
        "a name with spaces",
        'Ada\'s "projects", $HOME $(id) `id` 100 % & back\\slash; Übung',
        "日本語の長いフォルダ名" * 6,
    ],
)
def test_both_stores_run_at_any_path(folder: Path, name: str) -> None:
    """A space ended the path of Postgres' socket; quotes, commas and dollar signs mean something to a shell and to libpq."""
    home = folder / name
    with embedded_postgres(home / "pg") as url, connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS money")
    with embedded_postgres(home / "pg") as url, connect(url) as connection:
        assert connection.execute("SELECT money FROM kept").fetchone() == (7,)
    with embedded_valkey(home / "valkey") as url, Redis.from_url(url) as valkey:
        assert valkey.incr("runs") == 1


def test_postgres_starts_where_its_first_start_was_killed_half_way(folder: Path) -> None:
    (folder / "pg.new").mkdir()
    (folder / "pg.new" / "PG_VERSION").write_text("18\n")
    with embedded_postgres(folder / "pg") as url, connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert [path.name for path in folder.iterdir()] == ["pg"]


def test_a_postgres_that_makes_no_data_folder_in_time_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_process, "INIT_SECONDS", 0.001)
    with pytest.raises(Misconfigured, match=r"data folder .*pg within 0\.001 seconds"), embedded_postgres(folder / "pg"):
        pass
    assert not (folder / "pg.new").exists()


def test_postgres_starts_in_a_locale_that_the_machine_does_not_have(folder: Path) -> None:
    program = f"""
import pathlib
from app.stack import postgres_process
from app.stack.embedded import embedded_postgres
with embedded_postgres(pathlib.Path({str(folder)!r}) / "pg"):
    print("runs")
"""
    run = in_another_process(program, HOME=str(folder), LC_ALL="xx_XX.UTF-8", LANG="xx_XX.UTF-8")
    assert run.stdout == "runs\n", run.stderr


def test_data_of_another_postgres_version_says_what_to_do(folder: Path) -> None:
    with embedded_postgres(folder / "pg"):
        pass
    (folder / "pg" / "PG_VERSION").write_text("12\n")
    with pytest.raises(Misconfigured, match=r"another version of Postgres\. `make reset`"), embedded_postgres(folder / "pg"):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's Postgres runs as another user")
def test_as_root_the_way_to_the_data_is_opened_for_passage_and_for_no_more(folder: Path) -> None:
    """A home folder that others may not list stays one."""
    private = folder / "private"
    private.mkdir(mode=0o700)
    with embedded_postgres(private / "pg") as url, connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert stat.S_IMODE(private.stat().st_mode) == 0o711
