"""Chooses cases that show the gate at work: a refused release failed them, and the newest one passes them."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from app.releases.eval_cases import cases
from app.releases.eval_history import Filed, filed

MOST_CASES = 24  # of the failure mode: a demo runs them on both releases in less than a minute


@dataclass(frozen=True, slots=True)
class Example:
    """All ``cases`` of one failure mode, of which the release ``after`` passes ``fixed`` that ``before`` failed."""

    suite: str
    mode: str
    before: str
    after: str
    cases: tuple[str, ...]
    fixed: tuple[str, ...]


def example(directory: Path) -> Example | None:
    """The failure mode in which the newest refused release lost the most; None where no release was refused.

    Read from the results that the simulator gave, so that the simulator shows them again.
    """
    results, _ = filed(directory)
    held = [one for one in results if one.result.simulated and not one.below]
    refused = [one for one in results if one.result.simulated and one.below]
    for bad in refused:
        good = next((one for one in held if one.result.suite == bad.result.suite and one.release > bad.release), None)
        if good and (found := _largest(bad, good)):
            return found
    return None


def _largest(bad: Filed, good: Filed) -> Example | None:
    modes = {name: str(one.content.get("failure_mode")) for name, one in cases(bad.result.suite).items()}
    sizes = Counter(modes.values())
    fixed = [name for name in bad.result.failed if name not in good.result.failed and name in modes]
    lost = Counter(modes[name] for name in fixed if sizes[modes[name]] <= MOST_CASES)
    if not lost:
        return None
    mode = max(lost, key=lambda name: (lost[name], name))
    of_mode = tuple(sorted(name for name, its in modes.items() if its == mode))
    return Example(bad.result.suite, mode, bad.release, good.release, of_mode, tuple(one for one in fixed if one in of_mode))
