"""The table of clients, read from `table.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@dataclass(frozen=True, slots=True)
class Client:
    """One client: its packages, its driver, and the capabilities that fail."""

    name: str
    title: str
    driver: str
    pip: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()
    fast: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    fails: Mapping[str, str] = field(default_factory=dict)

    @property
    def versions(self) -> tuple[str, ...]:
        """The packages as the document shows them."""
        return tuple(package.replace("==", " ") for package in self.pip) + tuple(" ".join(p.rsplit("@", 1)) for p in self.npm)


def clients() -> dict[str, Client]:
    """Every client, by name, in the table's order."""
    rows = tomllib.loads((HERE / "table.toml").read_text())["clients"]
    fields: dict[str, dict[str, Any]] = {
        name: {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()} for name, row in rows.items()
    }
    return {name: Client(name=name, **row) for name, row in fields.items()}


def node_package() -> str:
    """The package of npm that holds Node itself."""
    return str(tomllib.loads((HERE / "table.toml").read_text())["tools"]["node"])
