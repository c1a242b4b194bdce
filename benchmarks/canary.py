"""How often a canary is stopped that should not be, and how soon one that should: `make canary`.

Simulated canaries of one metric, judged at each bad event, compared with two other rules: a z-test of two rates, repeated at each
event, and "five failed checks". Writes the plot of `docs/canary.md`. Exit code 1 if good canaries are stopped more often than
promised.
"""

import argparse
import math
import random
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.releases.evidence import ALPHA, Count, worse

SHARE, RATE = 0.10, 0.02
MOST_USERS = 20_000
RATIOS = (50.0, 10.0, 5.0, 3.0, 2.0)
PLOT = Path(__file__).resolve().parent.parent / "docs" / "canary.svg"
Z = 2.576  # two-sided 1 %


@dataclass(slots=True)
class Seen:
    """Users so far: all and bad ones, of the canary and of the others."""

    canary: int = 0
    others: int = 0
    bad_canary: int = 0
    bad_others: int = 0


def events(rng: random.Random, ratio: float) -> Iterator[Seen]:
    """One canary, after each of its bad events."""
    seen = Seen()
    for _ in range(MOST_USERS):
        has = rng.random() < SHARE
        bad = rng.random() < min(1.0, RATE * (ratio if has else 1.0))
        seen.canary += has
        seen.others += not has
        seen.bad_canary += has and bad
        seen.bad_others += bad and not has
        if bad:
            yield seen


def by_evidence(seen: Seen) -> bool:
    """The service's own rule."""
    return worse([Count(seen.bad_canary, seen.bad_canary + seen.bad_others, SHARE)]) >= 1 / ALPHA


def by_z_test(seen: Seen) -> bool:
    """A z-test of two rates at 1 %, as if this were the only look."""
    if not seen.canary or not seen.others:
        return False
    pooled = (seen.bad_canary + seen.bad_others) / (seen.canary + seen.others)
    error = math.sqrt(pooled * (1 - pooled) * (1 / seen.canary + 1 / seen.others))
    return error > 0 and (seen.bad_canary / seen.canary - seen.bad_others / seen.others) / error > Z


def by_five_failures(seen: Seen) -> bool:
    """Five failures of the canary, whatever the others do."""
    return seen.bad_canary >= 5


RULES: tuple[tuple[str, Callable[[Seen], bool]], ...] = (
    ("evidence", by_evidence),
    ("z-test at each event", by_z_test),
    ("five failed checks", by_five_failures),
)


def stopped_after(rng: random.Random, ratio: float, rule: Callable[[Seen], bool]) -> int | None:
    """The users of the canary at its stop; None if it is not stopped."""
    return next((seen.canary for seen in events(rng, ratio) if rule(seen)), None)


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400, help="simulated canaries for each row")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--plot", action="store_true", help="write docs/canary.svg")
    options = parser.parse_args()
    curves: dict[str, list[int | None]] = {}
    print(f"{SHARE:.0%} of up to {MOST_USERS:,} users, {RATE:.0%} of them with a bad event, {options.runs} canaries a row\n")
    for name, rule in RULES:
        rng = random.Random(options.seed)  # noqa: S311 - a simulation
        curves[name] = [stopped_after(rng, 1.0, rule) for _ in range(options.runs)]
    print("good releases that were stopped:")
    for name, ends in curves.items():
        print(f"  {name:24} {sum(end is not None for end in ends) / options.runs:7.1%}")
    print("\nbad releases, stopped by the evidence after so many of the canary's users (median, of those stopped):")
    for ratio in RATIOS:
        rng = random.Random(options.seed)  # noqa: S311
        ends = [stopped_after(rng, ratio, by_evidence) for _ in range(max(20, options.runs // 4))]
        found = [end for end in ends if end is not None]
        print(f"  {ratio:4.0f} times as bad {statistics.median(found):8.0f}   stopped {len(found) / len(ends):.0%}")
    if options.plot:
        PLOT.write_text(plot(curves), encoding="utf-8")
        print(f"\n{PLOT.relative_to(PLOT.parent.parent)} is written")
    wrong = sum(end is not None for end in curves["evidence"])
    most = options.runs * ALPHA + 3.72 * math.sqrt(options.runs * ALPHA * (1 - ALPHA))
    return int(wrong > most)


def plot(curves: dict[str, list[int | None]]) -> str:
    """The share of good releases that each rule has stopped by then, over the canary's users, as SVG."""
    width, height, left, top = 640, 280, 56, 16
    most = MOST_USERS * SHARE
    lines = []
    for (name, ends), dash in zip(curves.items(), ("", "6 4", "2 3"), strict=True):
        stops = sorted(end for end in ends if end is not None)
        points = [
            (0.0, 0.0),
            *((end, (number + 1) / len(ends)) for number, end in enumerate(stops)),
            (most, len(stops) / len(ends)),
        ]
        path = " ".join(f"{left + min(x / most, 1) * width:.1f},{top + (1 - y) * height:.1f}" for x, y in points)
        lines.append(f'<polyline points="{path}" fill="none" stroke="currentColor" stroke-width="2" stroke-dasharray="{dash}"/>')
        end = top + (1 - points[-1][1]) * height
        lines.append(f'<text x="{left + width + 6}" y="{end + 4:.0f}">{name}: {points[-1][1]:.0%}</text>')
    axis = [
        f'<path d="M{left} {top}V{top + height}H{left + width}" fill="none" stroke="currentColor"/>',
        *(f'<text x="{left - 8}" y="{top + (1 - y) * height + 4:.0f}" text-anchor="end">{y:.0%}</text>' for y in (0.0, 0.5, 1.0)),
        *(
            f'<text x="{left + x / most * width:.0f}" y="{top + height + 18}" text-anchor="middle">{x:,.0f}</text>'
            for x in (0.0, most / 2, most)
        ),
        f'<text x="{left + width / 2}" y="{top + height + 38}" text-anchor="middle">users of a canary that is no worse</text>',
    ]
    style = "font:13px sans-serif;color:#555;fill:currentColor"
    body = "\n".join((*axis, *lines))
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 340" style="{style}">\n{body}\n</svg>\n'


if __name__ == "__main__":
    sys.exit(main())
