"""Write tables and plot of docs/performance.md and docs/scaling.md from kept raw results: `python -m benchmarks.speed.page`."""

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.speed import price, scale
from benchmarks.speed.report import added, table

RESULTS = Path("benchmarks/results")
KEPT, PRICES, PEERS, SCALE = (RESULTS / f"{name}.json" for name in ("speed", "price", "peers", "scale"))
PAGE, PLOT, SCALING = Path("docs/performance.md"), Path("docs/performance.svg"), Path("docs/scaling.md")
WIDTH, LABEL, ROW, GAP = 720, 260, 22, 44
FIGURES = (("CPU µs a request", "cpu"), ("CPU µs a streamed event", "event"))


def page(results: Mapping[str, Any], prices: Mapping[str, Any], peers: Mapping[str, Any], before: str) -> str:
    """The page with the tables of these results."""
    whole = _between("speed", _rounds(results), before)
    whole = _between("peers", _rounds(peers), whole)
    return _between("price", f"{price.table(prices['whole'], prices['saved'])}\n\n{_where(prices)}", whole)


def scaling(results: Mapping[str, Any], before: str) -> str:
    """The page on scaling with the table of these results."""
    return _between("scale", f"{scale.table(*scale.read(results))}\n\n{_where(results)}", before)


def _rounds(results: Mapping[str, Any]) -> str:
    rounds = len(next(iter(results["servers"].values()))["rounds"])
    return f"{table(results)}\n\nMedians and ranges of {rounds} rounds. {_where(results)}"


def _between(name: str, text: str, page: str) -> str:
    head, _, rest = page.partition(f"<!-- {name} -->")
    return f"{head}<!-- {name} -->\n{text}\n<!-- /{name} -->{rest.partition(f'<!-- /{name} -->')[2]}"


def _where(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    system = f"{machine['cores']} cores ({machine['cpu']}), Python {machine['python']}"
    return f"{system}, {results['at'][:10]}, commit {results['commit']}."


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


def main() -> None:
    """Write all."""
    results, prices, peers, scaled = (json.loads(file.read_text(encoding="utf-8")) for file in (KEPT, PRICES, PEERS, SCALE))
    PAGE.write_text(page(results, prices, peers, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    PLOT.write_text(plot(results), encoding="utf-8")
    SCALING.write_text(scaling(scaled, SCALING.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
