"""The outcomes of the tests that threats name, left for the console's security page (`app/security/last_runs.py`)."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.security import last_runs, threats


@dataclass
class Outcomes:
    """One run of tests. A test with parameters passes if all of them did."""

    passed: dict[str, bool] = field(default_factory=dict)

    def note(self, report: pytest.TestReport) -> None:
        """Take one phase of a test. A test that was skipped has no outcome."""
        name = report.nodeid.partition("[")[0]
        if report.failed or (report.passed and report.when == "call"):
            self.passed[name] = report.passed and self.passed.get(name, True)

    def write(self, root: Path) -> None:
        """Add to what earlier runs left, so that a run of a few tests takes nothing away."""
        named = {f"{proof.path}::{proof.name}" for threat in threats.read(root) for proof in threat.proofs}
        now = datetime.now(UTC)
        ran = {name: last_runs.Run(passed, now) for name, passed in self.passed.items() if name in named}
        if not ran:
            return
        kept = {name: run for name, run in last_runs.read(root).items() if name in named}
        rows = {name: {"passed": run.passed, "at": run.at.isoformat()} for name, run in (kept | ran).items()}
        file = root / last_runs.FILE
        file.parent.mkdir(exist_ok=True)
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(rows, indent=1, sort_keys=True), encoding="utf-8")
        fresh.replace(file)
