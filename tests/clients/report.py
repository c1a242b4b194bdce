"""Results of a run: what was not expected, the stored file, and docs/clients.md."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clients.capabilities import GROUPS, WAYS
from clients.table import HERE, ROOT, Client

RESULTS = HERE / "results.json"
DOCUMENT = ROOT / "docs" / "clients.md"
OFFLINE = "stays on this machine"
Stored = dict[str, Any]  # client -> {"versions": […], "ways": {way: {capability: works}}}
SIGNS = {True: "yes", False: "**no**", None: "·"}


def unexpected(client: Client, ways: Mapping[str, Mapping[str, bool]]) -> list[str]:
    """The capabilities that fail though they should work, and those that work though the table says that they do not."""
    found = []
    for way, tried in ways.items():
        for name, works in tried.items():
            if works == (f"{way}: {name}" in client.fails):
                found.append(f"{client.name}, {way}: {name} {'works: remove it from the table' if works else 'fails'}")
    return found


def stored() -> Stored:
    """The results of the last whole run."""
    return dict(json.loads(RESULTS.read_text())) if RESULTS.exists() else {}


def merged(old: Stored, new: Stored, table: Iterable[str]) -> Stored:
    """Stored results with newer ones, in the table's order."""
    both = {**old, **new}
    return {name: both[name] for name in table if name in both}


def written(results: Stored) -> str:
    """Results as the file holds them."""
    return json.dumps(results, indent=1, ensure_ascii=False) + "\n"


def document(results: Stored, table: Mapping[str, Client]) -> str:
    """docs/clients.md."""
    lines = [
        "# Clients",
        "",
        "Unmodified clients against the service: only the base URL and the key are changed. `make clients` installs these",
        "versions, runs them and writes this page. A model behind the service plays a script, so that every answer is known,",
        "and refuses what its vendor refuses. Each client runs in a network namespace without a way out, where the kernel",
        "allows one, and behind a proxy that refuses: none tried to reach another host. *yes*: works; **no**: does not (the",
        "reasons are at the end); *·*: not tried, because the client has no such function or another client shows it.",
        "",
        "| client | versions |",
        "|---|---|",
        *(f"| {table[name].title} | {', '.join(row['versions'])} |" for name, row in results.items()),
    ]
    for group, capabilities in GROUPS.items():
        lines += ["", f"## {group}", "", *_table(results, table, list(capabilities)), ""]
        lines += [f"- *{name}*: {meaning}." for name, meaning in capabilities.items()]
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for name in results:
        for key, reason in table[name].fails.items():
            way, capability = key.split(": ")
            grouped.setdefault((table[name].title, WAYS[way], reason), []).append(capability)
    reasons = [f"- {title}, {path}: {', '.join(tried)}: {reason}." for (title, path, reason), tried in grouped.items()]
    return "\n".join([*lines, "", "## Capabilities that do not work", "", *(reasons or ["Nothing of the above."])]) + "\n"


def _table(results: Stored, table: Mapping[str, Client], capabilities: Sequence[str]) -> list[str]:
    rows = [
        [table[name].title, WAYS[way], *(SIGNS[tried.get(capability)] for capability in capabilities)]
        for name, row in results.items()
        for way, tried in row["ways"].items()
        if any(capability in tried for capability in capabilities)
    ]
    head = ["client", "path", *capabilities]
    return [_row(head), "|" + "---|" * len(head), *(_row(row) for row in rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
