"""`make generate`: regenerates generated files; `--check` lists those that would change.

Rules and `runbook/alerts.md` come from `deploy/slo/*.toml`, dashboards from `deploy/dashboards/`, and `docs/metrics.md` from the
metrics' catalogue, the rules and the dashboards.
"""

import argparse
import sys
from pathlib import Path

from deploy.dashboards.build import dashboard_files
from deploy.rules import slos
from deploy.rules.alerts_page import alerts_page
from deploy.rules.build import rule_files
from deploy.rules.document import document

ROOT = Path(__file__).resolve().parents[1]
RULES, DASHBOARDS = ROOT / "deploy/prometheus/rules", ROOT / "deploy/grafana"


def generated() -> dict[Path, str]:
    """Every generated file with its content. The document comes last: it describes the others."""
    definitions = slos.read()
    files = {RULES / name: content for name, content in rule_files(definitions).items()}
    files |= {DASHBOARDS / name: content for name, content in dashboard_files().items()}
    files |= {ROOT / "runbook/alerts.md": alerts_page(definitions)}
    return files | {ROOT / "docs/metrics.md": document(definitions, DASHBOARDS)}


def stale() -> list[str]:
    """The files that differ from their generated content."""
    return [str(p.relative_to(ROOT)) for p, made in generated().items() if not p.exists() or p.read_text() != made]


def main() -> None:
    """Make, or check."""
    parser = argparse.ArgumentParser(prog="make generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 if something is stale")
    if parser.parse_args().check:
        for name in stale():
            print(f"{name} is stale: run `make generate`")
        sys.exit(1 if stale() else 0)
    while names := stale():  # twice where dashboards changed: the document is made of those on disk
        print(*(f"made {name}" for name in names), sep="\n")
        for path, content in generated().items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)


if __name__ == "__main__":
    main()
