"""The last run in this checkout of each test that a threat names, as `tests/outcomes.py` leaves it. An image has none."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

FILE = ".octant/last-runs.json"  # below the root of the checkout


@dataclass(frozen=True, slots=True)
class Run:
    """Whether a test passed, and when it ended. Of a test with parameters, all of them in that run."""

    passed: bool
    at: datetime


def read(root: Path) -> Mapping[str, Run]:
    """By ``file::test``. Empty where no test was run, or the file is not one of ours."""
    try:
        found = json.loads((root / FILE).read_text(encoding="utf-8"))
        return {name: Run(bool(one["passed"]), datetime.fromisoformat(one["at"])) for name, one in found.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
