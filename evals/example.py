"""Runs a failure mode on a release that the gate refused and on the newest.

Stored, the two runs show why a case failed, and the answer that passes.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from app.releases.eval_example import Example, example
from app.settings import load as load_settings
from app.stack.vendors import VENDORS
from evals import discovery, store
from evals.cases import InvalidSuite
from evals.evaluation import some
from evals.options import Pace, Source


def run_example(database: str, pace: Pace) -> str:
    """Run both releases on the simulator and store both runs. Returns the result in a line. Raises InvalidSuite, Unreachable.

    ``database``: the Postgres that keeps the runs; the service's own, or that of the demo that runs here, if it is empty.
    """
    database = database or store.service_settings().database_url
    directory = load_settings().releases_dir.resolve()
    found = example(directory)
    if not found:
        raise InvalidSuite("no release here was refused on the simulator for a case that a later one passes")
    with _simulated(directory):
        before = _passed(found, found.before, database, pace)
        after = _passed(found, found.after, database, pace)
    mended, total = len(after - before), len(found.cases)
    return (
        f"{found.mode} of {found.suite}: {len(before)} of {total} cases passed with {found.before},"
        f" {len(after)} with {found.after}; {mended} that {found.before} fails {found.after} passes,"
        " and the answers of both are stored"
    )


def _passed(found: Example, release: str, database: str, pace: Pace) -> set[str]:
    (suite,) = discovery.chosen([found.suite])
    cases = [case for case in suite.load() if case.failure_mode == found.mode]
    head, (done,) = some([(suite, cases)], Source(release=release), pace)
    print(f"Stored {suite.name} on {release} as run {store.store(database, head, done)}.")
    return {result.case.id for result in done.results if result.passed}


@contextmanager
def _simulated(directory: Path) -> Generator[None, None, None]:
    """Hide this process's settings: the runs' services have stores of their own, and call no paid model."""
    before = dict(os.environ)
    kept = {name: value for name, value in before.items() if not name.startswith(("OCTANT_", "OPENAI_", "ANTHROPIC_"))}
    os.environ.clear()
    os.environ.update(kept, OCTANT_RELEASES_DIR=str(directory))
    os.environ.update({f"OCTANT_{vendor.upper()}__API_KEY": "" for vendor in VENDORS})  # a local `.env` may hold one
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
