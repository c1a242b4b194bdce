"""Write the table and the plot of docs/performance.md from kept raw results: `python -m benchmarks.speed.page`."""

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.speed.report import added, table

KEPT = Path("benchmarks/results/speed.json")
PAGE, PLOT = Path("docs/performance.md"), Path("docs/performance.svg")
BEGIN, END = "<!-- speed -->", "<!-- /speed -->"
WIDTH, LABEL, ROW, GAP = 720, 260, 22, 44
FIGURES = (("CPU µs a request", "cpu"), ("CPU µs a streamed event", "event"))


def page(results: Mapping[str, Any], before: str) -> str:
    """The page with the table of these results."""
    machine = results["machine"]
    system = f"{machine['cores']} cores ({machine['cpu']}), Python {machine['python']}"
    where = f"Medians and ranges of {_rounds(results)} rounds. {system}, {results['at'][:10]}, commit {results['commit']}."
    head, _, rest = before.partition(BEGIN)
    return f"{head}{BEGIN}\n{table(results)}\n\n{where}\n{END}{rest.partition(END)[2]}"


def plot(results: Mapping[str, Any]) -> str:
    """Bars of CPU a request and an event, by server, as SVG."""
    names, drawn, y = list(results["servers"]), list[str](), 0
    for title, figure in FIGURES:
        values = {name: added(results, name, figure)[0] for name in names}
        drawn.append(f'<text x="0" y="{y + 16}" font-weight="bold">{title}</text>')
        y += GAP - ROW
        for name, value in values.items():
            width = max(2.0, value / max(values.values()) * (WIDTH - LABEL - 80))
            drawn.append(f'<text x="0" y="{y + 16}">{escape(name)}</text>')
            drawn.append(f'<rect x="{LABEL}" y="{y + 4}" width="{width:.0f}" height="{ROW - 8}" fill="#3b6ea5"/>')
            drawn.append(f'<text x="{LABEL + width + 6:.0f}" y="{y + 16}">{value:,.0f}</text>')
            y += ROW
        y += ROW
    body = "\n".join(drawn)
    size = f'width="{WIDTH}" height="{y}" font-family="sans-serif" font-size="13"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{body}\n</svg>\n'


def _rounds(results: Mapping[str, Any]) -> int:
    return len(next(iter(results["servers"].values()))["rounds"])


def main() -> None:
    """Write both."""
    results = json.loads(KEPT.read_text(encoding="utf-8"))
    PAGE.write_text(page(results, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    PLOT.write_text(plot(results), encoding="utf-8")


if __name__ == "__main__":
    main()
