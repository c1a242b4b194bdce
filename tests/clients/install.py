"""Installs clients, each into an environment of its own under `.clients/`.

Packages come from PyPI and npm through their ordinary clients, configured as the machine has them. Scripts of npm packages do not
run. An environment is kept until its row in the table changes.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from clients.table import ROOT, Client, node_package

FOLDER = ROOT / ".clients"


def home_of(client: Client) -> Path:
    """The folder of a client's environment."""
    return FOLDER / (client.home or client.name)


def interpreter(client: Client) -> Path:
    """The Python or Node that runs a client's driver."""
    return home_of(client) / "bin" / "python" if client.pip else node_binary()


def node_binary() -> Path:
    """Node, as npm serves it."""
    return FOLDER / "node" / "node_modules" / node_package().rsplit("@", 1)[0] / "bin" / "node"


def install(client: Client) -> None:
    """Install a client, unless its environment holds these versions already."""
    home = home_of(client)
    if client.pip:
        _once(home, client.pip, lambda: _pip(home, client.pip))
    else:
        _once(FOLDER / "node", (node_package(),), lambda: _npm(FOLDER / "node", (node_package(),)))
        _once(home, client.npm, lambda: _npm(home, client.npm))


def _once(home: Path, packages: tuple[str, ...], make: Callable[[], None]) -> None:
    note, wanted = home / ".installed", "\n".join(packages)
    if note.exists() and note.read_text() == wanted:
        return
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    print(f"Installing {', '.join(packages)}", flush=True)
    make()
    note.write_text(wanted)


def _pip(home: Path, packages: tuple[str, ...]) -> None:
    """By uv, which is several times faster; by pip where uv fails (an index that only pip can reach)."""
    _run([sys.executable, "-m", "venv", str(home)])
    python, uv = str(home / "bin" / "python"), shutil.which("uv", path=str(Path(sys.executable).parent))
    by_uv = [str(uv), "pip", "install", "-q", "--python", python, *packages]
    if uv is None or subprocess.run(by_uv, check=False, stderr=subprocess.DEVNULL, env=_environment()).returncode:
        _run([python, "-m", "pip", "--disable-pip-version-check", "install", "-q", *packages])


def _npm(home: Path, packages: tuple[str, ...]) -> None:
    (home / "package.json").write_text('{"private": true, "type": "module"}\n')
    options = ["--prefix", str(home), "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel", "error"]
    _run(["npm", "install", *options, "--engine-strict=false", *packages], cwd=home)


def _run(command: list[str], cwd: Path | None = None) -> None:
    subprocess.run(command, cwd=cwd, check=True, env=_environment())


def _environment() -> dict[str, str]:
    """The machine's variables without those that would put packages elsewhere."""
    return {k: v for k, v in os.environ.items() if k not in {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"}}
