"""`make clients`: install unmodified clients, drive each against the service, and write docs/clients.md.

Exit code 1: a capability fails that the table does not list, or works though it is listed, or a client tried to leave this
machine.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from clients import install, isolation
from clients.report import DOCUMENT, OFFLINE, RESULTS, Stored, document, merged, stored, unexpected, written
from clients.run import Outcome, run, service
from clients.table import Client, clients, prune


def main() -> int:
    """Read the arguments, install, and run in a namespace where there can be one."""
    parser = argparse.ArgumentParser(prog="clients", description=__doc__)
    parser.add_argument("--fast", action="store_true", help="only the clients that CI runs")
    parser.add_argument("--only", default="", help="clients by name, with commas between")
    parser.add_argument("--capability", action="append", default=[], help="only this capability")
    parser.add_argument("--record", action="store_true", help="write results and document after a run of some clients too")
    parser.add_argument("--prune", action="store_true", help="take out of fails.toml what works now")
    parser.add_argument("--json", type=Path, help="write every outcome with its detail to this file")
    arguments = parser.parse_args()
    table = clients()
    names = arguments.only.split(",") if arguments.only else list(table)
    chosen = [table[name] for name in names if table[name].fast or not arguments.fast]
    if isolation.INSIDE not in os.environ:
        for client in chosen:
            install.install(client)
    inside = isolation.enter(sys.argv[1:])
    return inside if inside is not None else _run(chosen, arguments)


def _run(chosen: Sequence[Client], arguments: argparse.Namespace) -> int:
    outcomes: list[Outcome] = []
    live = ""
    with isolation.watched() as recorder, service() as (env, activate):
        for client in sorted(chosen, key=lambda client: client.release):
            if client.release != live:
                live = client.release
                activate(live)
            outcomes += _driven(client, env, recorder, _capabilities(client, arguments))
    results = {client.name: _stored(client, outcomes) for client in chosen}
    if arguments.json:
        rows = [{k: getattr(o, k) for k in ("client", "way", "capability", "ok", "detail")} for o in outcomes]
        arguments.json.write_text(json.dumps(rows, indent=1))
    if arguments.prune:
        prune(lambda name, key: any(name == o.client and key == f"{o.way}: {o.capability}" and o.ok for o in outcomes))
        chosen = [clients()[client.name] for client in chosen]
    if arguments.record or (len(chosen) == len(clients()) and not arguments.capability):
        recorded = {client.name: results[client.name] for client in chosen if not _capabilities(client, arguments)}
        whole = merged(stored(), recorded, clients())
        RESULTS.write_text(written(whole))
        DOCUMENT.write_text(document(whole, clients()))
    bad = [line for client in chosen for line in unexpected(client, results[client.name]["ways"])]
    bad += [f"{o.client} tried to reach {o.detail}" for o in outcomes if o.capability == OFFLINE and not o.ok]
    print("\n".join(["", *bad]) if bad else "\nEvery capability is as the table says.")
    print(f"{sum(o.ok for o in outcomes)} passed, {sum(not o.ok for o in outcomes)} failed")
    return int(bool(bad))


def _capabilities(client: Client, arguments: argparse.Namespace) -> Sequence[str]:
    """The capabilities to try; none: all."""
    return arguments.capability or (client.briefly if arguments.fast else ())


def _driven(client: Client, env: Mapping[str, str], recorder: isolation.Recorder, only: Sequence[str]) -> list[Outcome]:
    """Drive one client, and print what fails."""
    started = time.monotonic()
    found = run(client, env, recorder, only)
    print(f"{client.title}: {sum(o.ok for o in found)} of {len(found)}, {time.monotonic() - started:.0f} s", flush=True)
    for outcome in found:
        if not outcome.ok:
            print(f"  {outcome.way}: {outcome.capability}: {outcome.detail}", flush=True)
    return found


def _stored(client: Client, outcomes: Sequence[Outcome]) -> Stored:
    ways: dict[str, dict[str, bool]] = {}
    for outcome in outcomes:
        if outcome.client == client.name and outcome.capability != OFFLINE:
            ways.setdefault(outcome.way, {})[outcome.capability] = outcome.ok
    return {"versions": list(client.versions), "ways": ways}


if __name__ == "__main__":
    sys.exit(main())
