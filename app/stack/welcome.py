"""The last thing that the demo prints: how to call it from another terminal."""

import shlex
import shutil
import sys
from pathlib import Path

from app.domain.hosts import authority
from app.settings import Settings

README_PORT = 8080  # in its requests


def introduction(settings: Settings, key: str, *, simulated: bool) -> str:
    """The service's address, one line that makes README's requests and commands work unchanged, and first commands."""
    url, metrics = (f"http://{authority(settings.host, port)}" for port in (settings.port, settings.metrics_port))
    other_port = (
        "" if settings.port == README_PORT else f"\nREADME's requests name port {README_PORT}: here it is {settings.port}."
    )
    lines = [
        f"\nOctant answers at {url} (its API: {url}/docs), metrics at {metrics}/metrics{other_port}",
        "\nIn another terminal, in this folder:\n",
        f"export KEY={key}{_path()}{_state(settings)}",
        f"octant budget show {settings.demo_tenant}",
    ]
    if simulated:
        lines.append("octant simulate outage anthropic    # watch Overview; and back: octant simulate clear")
    return "\n".join(lines)


def operators_address(settings: Settings) -> str:
    """Where this machine serves the console: on the operators' own listener, if there is one."""
    at = (settings.admin_host, settings.admin_port) if settings.admin_port else (settings.host, settings.port)
    return f"http://{authority(*at)}"


def _path() -> str:
    """The command that puts `octant` on the path, unless it is there."""
    own = Path(sys.prefix) / "bin" / "octant"
    found = shutil.which("octant")
    if not own.exists() or (found and Path(found).resolve() == own.resolve()):
        return ""
    if own.parent == Path.cwd() / ".venv" / "bin":
        return ' PATH="$PWD/.venv/bin:$PATH"'
    return f' PATH={shlex.quote(str(own.parent))}:"$PATH"'


def _state(settings: Settings) -> str:
    """The state folder for the commands, unless they find it by themselves in this folder."""
    usual = Settings.model_fields["state_dir"].default
    return "" if settings.state_dir == usual else f" OCTANT_STATE_DIR={shlex.quote(str(settings.state_dir.resolve()))}"
