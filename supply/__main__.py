"""`make audit` and `make sbom`: each check says what it looked at; what could not be looked at is said, never passed over."""

import argparse
import sys
from pathlib import Path

from supply import advisories, bill, licences, secrets

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "run.lock"


def main() -> int:
    """Run what is asked for. Exit code 1: something was found; 3: advisories were required and could not be had."""
    parser = argparse.ArgumentParser(prog="supply", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    audit = verbs.add_parser("audit", help="secrets, licences and advisories")
    audit.add_argument("--require-advisories", action="store_true", help="fail where no advisory service answers")
    verbs.add_parser("secrets", help="secrets in tracked files and in the branch's history")
    verbs.add_parser("licences", help="licences of what is installed")
    sbom = verbs.add_parser("sbom", help="write the bill of materials, CycloneDX")
    sbom.add_argument("--output", type=Path, default=ROOT / "sbom.cdx.json")
    wanted = parser.parse_args()
    if wanted.verb == "sbom":
        return bill.write(LOCK, wanted.output)
    failed = False
    if wanted.verb in ("audit", "secrets"):
        failed |= secrets.report(ROOT)
    if wanted.verb in ("audit", "licences"):
        failed |= licences.report(LOCK)
    if wanted.verb == "audit":
        answer = advisories.report(LOCK)
        failed |= answer is advisories.Answer.FOUND
        if answer is advisories.Answer.NONE and wanted.require_advisories and not failed:
            return 3
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
