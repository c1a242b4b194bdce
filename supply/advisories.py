"""Known vulnerabilities of the locked packages, by pip-audit, if an advisory service answers.

pip-audit passes a package that its service does not know, so with a mirror without advisories every package would pass. A
request with a known answer therefore comes first: a release whose vulnerability is public. The lock is sent only if the
service names that one.
"""

import json
import subprocess
import sys
import tempfile
from enum import Enum
from pathlib import Path

KNOWN_BAD = "jinja2==2.11.2"  # PYSEC-2021-66
OPTIONS = ["--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json", "--timeout=10"]


class Answer(Enum):
    """Outcome of the check."""

    CLEAN = "clean"
    FOUND = "found"
    NONE = "none"


def report(lock: Path) -> Answer:
    """Check the lock and print the findings."""
    if not _vulnerable(_ask_about(KNOWN_BAD)):
        print("advisories: NOT CHECKED. No advisory service answers here: a release known to be vulnerable was not named.")
        return Answer.NONE
    audited = _ask("-r", str(lock), "--require-hashes")
    if audited is None:
        print("advisories: NOT CHECKED. The advisory service stopped answering.")
        return Answer.NONE
    bad = _vulnerable(audited)
    for package, ids in bad.items():
        print(f"advisories: {package}: {', '.join(ids)}")
    skipped = [str(d["name"]) for d in audited["dependencies"] if "skip_reason" in d]
    print(f"advisories: {len(audited['dependencies']) - len(skipped)} packages checked, {len(bad)} vulnerable")
    if skipped:
        print(f"advisories: not known to the service: {', '.join(skipped)}")
    return Answer.FOUND if bad else Answer.CLEAN


def _ask_about(requirement: str) -> dict[str, list[dict[str, object]]] | None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(requirement + "\n")
        file.flush()
        return _ask("-r", file.name)


def _ask(*arguments: str) -> dict[str, list[dict[str, object]]] | None:
    """Run pip-audit. Returns its report, None where it could not make one."""
    command = [sys.executable, "-m", "pip_audit", *OPTIONS, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return json.loads(run.stdout)  # type: ignore[no-any-return]
    except ValueError:
        return None


def _vulnerable(audited: dict[str, list[dict[str, object]]] | None) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for package in audited["dependencies"] if audited else []:
        vulnerabilities = package.get("vulns")
        if isinstance(vulnerabilities, list) and vulnerabilities:
            found[f"{package['name']} {package['version']}"] = [str(v["id"]) for v in vulnerabilities]
    return found
