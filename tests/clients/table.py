"""The table of clients, read from `table.toml`."""

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FAILS = HERE / "fails.toml"
HEAD = """\
# The capabilities that do not work, with the reasons: "path: capability" = "reason". One that works after all fails the run, so
# that this list stays true; `make clients ARGS=--prune` takes such lines out.
"""


@dataclass(frozen=True, slots=True)
class Client:
    """One client: its packages, its driver, and the capabilities that fail.

    ``release`` is the one that it is driven against, and ``model`` the only model that it names; empty: the newest, the driver's.
    ``home``: the client whose packages it uses; empty: its own. ``fast``: CI's run has it; ``briefly``: these capabilities of it.
    """

    name: str
    title: str
    driver: str
    pip: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()
    fast: bool = False
    briefly: tuple[str, ...] = ()
    release: str = ""
    model: str = ""
    home: str = ""
    fails: Mapping[str, str] = field(default_factory=dict)

    @property
    def versions(self) -> tuple[str, ...]:
        """The packages as the document shows them."""
        return tuple(package.replace("==", " ") for package in self.pip) + tuple(" ".join(p.rsplit("@", 1)) for p in self.npm)


def clients() -> dict[str, Client]:
    """Every client, by name, in the table's order."""
    rows = tomllib.loads((HERE / "table.toml").read_text())["clients"]
    fails = tomllib.loads(FAILS.read_text())
    fields: dict[str, dict[str, Any]] = {
        name: {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()} for name, row in rows.items()
    }
    return {name: Client(name=name, fails=fails.get(name, {}), **row) for name, row in fields.items()}


def prune(works: Callable[[str, str], bool]) -> None:
    """Take out of the list what works: ``works`` knows by client and key."""
    lines = [HEAD]
    for name, fails in tomllib.loads(FAILS.read_text()).items():
        kept = {key: reason for key, reason in fails.items() if not works(name, key)}
        if kept:
            lines += ["", f"[{name}]", *(f"{json.dumps(key)} = {json.dumps(reason)}" for key, reason in kept.items())]
    FAILS.write_text("\n".join(lines).replace("\n\n\n", "\n\n") + "\n")


def node_package() -> str:
    """The package of npm that holds Node itself."""
    return str(tomllib.loads((HERE / "table.toml").read_text())["tools"]["node"])
