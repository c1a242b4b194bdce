"""The results: a table for people, JSON with the machine and the versions for later comparisons."""

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from app.stack.commit import commit
from benchmarks.speed.measure import Direct, Plan, Round, spread
from benchmarks.speed.upstream import EVENTS

LIBRARIES = (
    "fastapi",
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "aiohttp",
    "openai",
    "anthropic",
    "redis",
    "sqlalchemy",
    "psycopg",
)
RATIOS = {
    "cpu": "CPU of a request",
    "known": "CPU of a request with a known text",
    "event": "CPU of a streamed event",
    "ready": "Seconds until ready",
}
COLUMNS = (
    ("CPU µs a request", "cpu", 0),
    ("with a known text", "known", 0),
    ("req/s a core", "rate", 0),
    ("added p50 ms", "p50", 2),
    ("added p99 ms", "p99", 1),
    ("added TTFT ms", "first_token", 2),
    ("CPU µs an event", "event", 0),
    ("memory MB", "memory", 0),
)


def results(
    plan: Plan, rounds: Mapping[str, Sequence[Round]], ready: Mapping[str, Sequence[float]], own: Sequence[Direct]
) -> dict[str, Any]:
    """Everything that was measured, and where."""
    return {
        **about(plan),
        "provider": [asdict(d) for d in own],
        "servers": {name: {"ready": list(ready[name]), "rounds": [asdict(r) for r in found]} for name, found in rounds.items()},
    }


def about(plan: Plan) -> dict[str, Any]:
    """When and where something was measured, and how."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit() or "unknown",
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "versions": {name: version(name) for name in LIBRARIES},
        "plan": asdict(plan),
    }


def added(results: Mapping[str, Any], name: str, figure: str) -> tuple[float, float, float]:
    """A figure of a server: median, least, most. The provider's own latency of the same round is taken off latencies."""
    values = [r[figure] for r in results["servers"][name]["rounds"]]
    if figure in results["provider"][0]:
        values = [value - own[figure] for value, own in zip(values, results["provider"], strict=True)]
    return spread(values)


def ratios(results: Mapping[str, Any], figure: str, name: str, base: str) -> list[float]:
    """A figure of one server to that of another: ``cpu`` and ``event`` round by round, ``ready`` start by start."""
    one, other = (
        server["ready"] if figure == "ready" else [found[figure] for found in server["rounds"]]
        for server in (results["servers"][name], results["servers"][base])
    )
    return [mine / its for mine, its in zip(one, other, strict=True)]


def over(results: Mapping[str, Any], limits: Mapping[str, float], name: str, base: str) -> list[str]:
    """Sentences on the figures whose ratio is above its limit each time: others on a machine disturb some."""
    found = []
    for figure, most in limits.items():
        each = ratios(results, figure, name, base)
        if min(each) > most:
            shown = ", ".join(f"{ratio:.2f}" for ratio in each)
            found.append(f"{RATIOS[figure]}, {name} to {base}: {shown} to 1. That is more than {most:g} each time.")
    return found


def table(results: Mapping[str, Any]) -> str:
    """The medians with their ranges, and the ratios to the first server, as a Markdown table."""
    names = list(results["servers"])
    head = ["server", *("ratio", "ratio with a known text"), *(title for title, _, _ in COLUMNS), "ratio an event", "ready s"]
    rows = [head, ["---", *("--:" for _ in head[1:])]]
    base = {figure: added(results, names[0], figure)[0] for figure in ("cpu", "known", "event")}
    for name in names:
        cells = [_cell(results, name, figure, digits) for _, figure, digits in COLUMNS]
        ratio, known, event = (_range((added(results, name, figure)[0] / base[figure],) * 3, 2) for figure in base)
        ready, _, _ = spread(results["servers"][name]["ready"])
        rows.append([name, ratio, known, *cells, event, f"{ready:.1f}"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def keep(results: Mapping[str, Any], folder: Path, kind: str = "speed") -> Path:
    """Write the raw results; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{kind}-{results['at'].replace(':', '')}.json"
    file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return file


def _cell(results: Mapping[str, Any], name: str, figure: str, digits: int) -> str:
    """A figure, unless its rate is more than the server takes: a queue would be measured, and not the server."""
    plan, rate, event = results["plan"], added(results, name, "rate")[0], added(results, name, "event")[0]
    over = (figure in ("p50", "p99") and rate <= plan["rate"]) or (
        figure == "first_token" and event * plan["streams"] * EVENTS >= 1e6
    )
    return "overloaded" if over else _range(added(results, name, figure), digits)


def _range(values: tuple[float, float, float], digits: int) -> str:
    if math.isnan(values[0]):
        return "fails"
    middle, least, most = (f"{value:,.{digits}f}" for value in values)
    return middle if least == most else f"{middle} ({least} to {most})"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
