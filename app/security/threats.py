"""The threat model as data: each threat, its control, the tests that prove it, and whether they are there (S1).

Read from `threat_model.md` and each product's `threats.md`. An image for production carries no tests: there their presence is
unknown, and CI has proven it before the image was built.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[2]
State = Literal["there", "missing", "not here"]
_ROW = re.compile(r"\|\s*(\d+)\s*\|")
_CONTROL = re.compile(r"`((?:app|supply|\.github)/[\w./-]+)`")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
COLUMNS = 7


@dataclass(frozen=True, slots=True)
class Proof:
    """A test that a threat names. ``state``: `not here` where this installation carries no tests at all."""

    path: str
    name: str
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Threat:
    """One row. ``missing``: files of its control that do not exist. ``product``: empty for the service itself."""

    number: int
    threat: str
    risks: str
    requirements: str
    control: str
    proofs: Sequence[Proof]
    remains: str
    product: str = ""
    missing: Sequence[str] = ()

    @property
    def state(self) -> State:
        """`missing` where a control or a test is missing, or none is named."""
        states = {proof.state for proof in self.proofs}
        if self.missing or "missing" in states or not states:
            return "missing"
        return "not here" if "not here" in states else "there"


def read(root: Path = ROOT) -> Sequence[Threat]:
    """Every threat, those that lack a proof first, then the service's, each by number.

    Empty where this installation carries no threat model. Raises OSError.
    """
    sources = [("", root / "threat_model.md")]
    sources += [(path.parent.name, path) for path in sorted(root.glob("app/features/*/threats.md"))]
    found = [threat for product, path in sources if path.is_file() for threat in _rows(path, product, root)]
    return sorted(found, key=lambda threat: (threat.state != "missing", threat.product, threat.number))


def _rows(path: Path, product: str, root: Path) -> Iterator[Threat]:
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not _ROW.match(line) or len(cells) != COLUMNS:
            continue
        number, threat, risks, requirements, control, proven, remains = cells
        named = _CONTROL.findall(control)
        yield Threat(
            number=int(number), threat=threat, risks=risks, requirements=requirements, control=control, remains=remains,
            product=product, proofs=[_proof(file, name, root) for file, name in _TEST.findall(proven)],
            missing=[file for file in named if file.startswith("app/") and not (root / file).is_file()],
        )  # fmt: skip


def _proof(file: str, name: str, root: Path) -> Proof:
    if not (root / "tests").is_dir():
        return Proof(file, name, "not here")
    path = root / file
    there = path.is_file() and name in _tests_in(path, path.stat().st_mtime_ns)
    return Proof(file, name, "there" if there else "missing")


@lru_cache(maxsize=512)
def _tests_in(path: Path, _changed: int) -> frozenset[str]:
    """The names of the tests in a file, read again when it changes."""
    return frozenset(re.findall(r"^\s*(?:async )?def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE))
