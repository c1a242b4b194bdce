"""Operators' commands, run inside the test process.

The same `main`, without a Python start of a second each.

`tests/flow/test_commands.py` runs the real program.
"""

import io
import json
import os
import shutil
import socketserver
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import typer.main
from forked import run_module

import app.cli
import app.releases.following

typer.main.get_command = cache(typer.main.get_command)  # a process builds it once, for 15 ms of CPU; a test runs many commands
app.releases.following.WITHIN = 60.0  # a worker of a busy machine may take longer than promised; `octant rehearse` measures that
SECONDS = 120.0
FORKED_SECONDS = 300.0
# The programs that a shell finds as `octant` and as `python`: a second of CPU each, if they imported everything anew.
PROGRAM = """\
#!{python} -SE
import json, os, socket, sys
module, arguments = {module}, sys.argv[{skipped}:]
if not module:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as there:
    there.connect({address!r})
    there.sendall(json.dumps([dict(os.environ), os.getcwd(), module, arguments]).encode() + b"\\n")
    ran = json.loads(there.makefile().read())
sys.stdout.write(ran["stdout"])
sys.stderr.write(ran["stderr"])
sys.exit(ran["returncode"])
"""
_ONE_AT_A_TIME = threading.Lock()  # environment, arguments and standard output belong to the whole process


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


def run(env: Mapping[str, str], *command: str) -> Ran:
    """Run `octant` with these words in an environment that is exactly `env`.

    It runs in a thread of its own: commands start an event loop, and a test's thread may have one that runs.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="octant") as thread:
        return thread.submit(_run, env, command).result(SECONDS)


def octant(env: Mapping[str, str], *command: str) -> str:
    """Run an operator's command, and return its standard output.

    Fails the test on a non-zero exit.
    """
    ran = run(env, *command)
    assert ran.returncode == 0, f"octant {' '.join(command)} failed:\n{ran.stdout}{ran.stderr}"
    return ran.stdout


@contextmanager
def octant_on_path(env: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environment with programs `octant` and `python` on its path, for shells.

    The commands run in this process, drills and `python -m evals` in one that is forked.
    """
    folder = Path(tempfile.mkdtemp(prefix="octant-path-"))  # short: a socket's path has 107 characters at most
    address = str(folder / "socket")
    evals = '"evals" if sys.argv[1:3] == ["-m", "evals"] else ""'
    for name, module, skipped in (("octant", '"app.cli"', 1), ("python", evals, 3)):
        program = folder / name
        program.write_text(PROGRAM.format(python=sys.executable, address=address, module=module, skipped=skipped))
        program.chmod(0o755)
    with socketserver.ThreadingUnixStreamServer(address, _Commands) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield {**env, "PATH": f"{folder}{os.pathsep}{env.get('PATH', os.defpath)}"}
        finally:
            server.shutdown()
            serving.join()
            shutil.rmtree(folder)


class _Commands(socketserver.StreamRequestHandler):
    """Serve one command.

    Environment, folder, module and arguments come as a line of JSON; the output and the exit code go back.
    A drill takes the logs over and starts parts of its own, so it is a process of its own, as the evals are.
    """

    def handle(self) -> None:
        env, cwd, module, arguments = json.loads(self.rfile.readline())
        if module == "app.cli" and arguments[:1] != ["drill"]:
            ran = _run(env, tuple(arguments))
        else:
            ended = run_module(module, *arguments, env=env, cwd=Path(cwd), seconds=FORKED_SECONDS)
            ran = Ran(ended.returncode, ended.stdout, ended.stderr)
        self.wfile.write(json.dumps(asdict(ran)).encode())


def _run(env: Mapping[str, str], command: tuple[str, ...]) -> Ran:
    out, errors = io.StringIO(), io.StringIO()
    with _ONE_AT_A_TIME, _environment(env), _arguments(command), redirect_stdout(out), redirect_stderr(errors):
        try:
            app.cli.main()
            code: object = 0
        except SystemExit as ended:
            code = ended.code
    if isinstance(code, str):  # Python prints it and exits with 1
        return Ran(1, out.getvalue(), f"{errors.getvalue()}{code}\n")
    return Ran(int(code) if isinstance(code, int) else 0, out.getvalue(), errors.getvalue())


@contextmanager
def _environment(env: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    _replace(env)
    try:
        yield
    finally:
        _replace(before)


def _replace(env: Mapping[str, str]) -> None:
    """Change only the variables that differ.

    Other threads read the environment as well, such as for the time zone.
    """
    for name in os.environ.keys() - env.keys():
        del os.environ[name]
    for name, value in env.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


@contextmanager
def _arguments(command: tuple[str, ...]) -> Iterator[None]:
    before, sys.argv = sys.argv, ["octant", *command]
    try:
        yield
    finally:
        sys.argv = before


def every_command(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - click's or typer's
    """Each command that can be called, with its words."""
    if path and (getattr(command, "invoke_without_command", False) or not hasattr(command, "commands")):
        yield " ".join(path), command
    for name, inner in getattr(command, "commands", {}).items():
        yield from every_command(inner, (*path, name))
