"""`make audit` and `make sbom`: each check reports its coverage, and never skips anything in silence."""

import argparse
import sys
from pathlib import Path

from supply import advisories, bill, licences, secrets

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "run.lock"


def main() -> int:
    """Run the chosen checks. Exit code 1: a finding; 3: advisories were required and no service answered."""
    parser = argparse.ArgumentParser(prog="supply", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    audit = verbs.add_parser("audit", help="secrets, licences and advisories")
    audit.add_argument("--require-advisories", action="store_true", help="fail where no advisory service answers")
    verbs.add_parser("secrets", help="secrets in tracked files and in the branch's history")
    verbs.add_parser("licences", help="licences of installed packages")
    sbom = verbs.add_parser("sbom", help="write the bill of materials, CycloneDX")
    sbom.add_argument("--output", type=Path, default=ROOT / "sbom.cdx.json")
    arguments = parser.parse_args()
    if arguments.verb == "sbom":
        return bill.write(LOCK, arguments.output)
    failed = False
    if arguments.verb in ("audit", "secrets"):
        failed |= secrets.report(ROOT)
    if arguments.verb in ("audit", "licences"):
        failed |= licences.report(LOCK)
    if arguments.verb == "audit":
        answer = advisories.report(LOCK)
        failed |= answer is advisories.Answer.FOUND
        if answer is advisories.Answer.NONE and arguments.require_advisories and not failed:
            return 3
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
