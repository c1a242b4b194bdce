"""The threat model as data: each threat, its control, the tests that prove it, whether they are there, and their last run (S1).

Read from `threat_model.md` and each product's `threats.md`. An image for production carries no tests: there their presence is
unknown, and CI has proven it before the image was built.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from app.security import last_runs
from app.security.last_runs import Run

ROOT = Path(__file__).resolve().parents[2]
State = Literal["there", "missing", "not here"]
_ROW = re.compile(r"\|\s*(\d+)\s*\|")
_CONTROL = re.compile(r"`((?:app|supply|\.github)/[\w./-]+)`")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
COLUMNS = 7


@dataclass(frozen=True, slots=True)
class Proof:
    """A test that a threat names. ``state``: `not here` where this installation carries no tests at all.

    ``run``: its last one in this checkout; None where it was not run, or its file has changed since.
    """

    path: str
    name: str
    state: State
    run: Run | None = None


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

    @property
    def failed(self) -> Sequence[Proof]:
        """The tests that failed when they last ran here."""
        return [proof for proof in self.proofs if proof.run and not proof.run.passed]

    @property
    def passed(self) -> Sequence[Proof]:
        """The tests that passed when they last ran here."""
        return [proof for proof in self.proofs if proof.run and proof.run.passed]


def read(root: Path = ROOT) -> Sequence[Threat]:
    """Every threat, those that lack a proof or whose test failed first, then the service's, each by number.

    Empty where this installation carries no threat model. Raises OSError.
    """
    sources = [("", root / "threat_model.md")]
    sources += [(path.parent.name, path) for path in sorted(root.glob("app/features/*/threats.md"))]
    runs = last_runs.read(root)
    found = [threat for product, path in sources if path.is_file() for threat in _rows(path, product, root, runs)]
    return sorted(found, key=lambda one: (one.state != "missing" and not one.failed, one.product, one.number))


def _rows(path: Path, product: str, root: Path, runs: Mapping[str, Run]) -> Iterator[Threat]:
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not _ROW.match(line) or len(cells) != COLUMNS:
            continue
        number, threat, risks, requirements, control, proven, remains = cells
        named = _CONTROL.findall(control)
        yield Threat(
            number=int(number), threat=threat, risks=risks, requirements=requirements, control=control, remains=remains,
            product=product, proofs=[_proof(file, name, root, runs) for file, name in _TEST.findall(proven)],
            missing=[file for file in named if file.startswith("app/") and not (root / file).is_file()],
        )  # fmt: skip


def _proof(file: str, name: str, root: Path, runs: Mapping[str, Run]) -> Proof:
    if not (root / "tests").is_dir():
        return Proof(file, name, "not here")
    path = root / file
    if not path.is_file() or name not in _tests_in(path, path.stat().st_mtime_ns):
        return Proof(file, name, "missing")
    run = runs.get(f"{file}::{name}")
    return Proof(file, name, "there", run if run and run.at.timestamp() >= path.stat().st_mtime else None)


@lru_cache(maxsize=512)
def _tests_in(path: Path, _changed: int) -> frozenset[str]:
    """The names of the tests in a file, read again when it changes."""
    return frozenset(re.findall(r"^\s*(?:async )?def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE))
