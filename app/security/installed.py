"""The packages that run here beside those that the lock names (S9).

The lock carries the hash of every file that may be installed. Known vulnerabilities are looked up by `make audit`, which needs an
advisory service and stores no result.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

LOCK = Path(__file__).resolve().parents[2] / "requirements" / "run.lock"
_LOCKED = re.compile(r"^([A-Za-z0-9][\w.-]*)==(\S+?)(?:\s|;|\\|$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Package:
    """One locked package. ``installed``: its version here, empty where it is not installed."""

    name: str
    locked: str
    installed: str

    @property
    def differs(self) -> bool:
        """Whether another version runs than the lock names."""
        return bool(self.installed) and self.installed != self.locked


def packages(lock: Path = LOCK) -> Sequence[Package]:
    """Every package of the lock; none where this installation carries no lock. Raises OSError."""
    if not lock.is_file():
        return []
    found = _LOCKED.findall(lock.read_text(encoding="utf-8"))
    return [Package(name, version, _installed(name)) for name, version in found]


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
