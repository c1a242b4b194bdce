"""`make fork NAME=…` and `make feature NAME=…`."""

import argparse
import sys
from pathlib import Path

from kit import feature, fork
from kit.refused import Refused

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Run the chosen verb. Exit code 1, with a sentence that says what to do: nothing was changed."""
    parser = argparse.ArgumentParser(prog="kit", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    forking = verbs.add_parser("fork", help="rename the project, and remove the worked example")
    forking.add_argument("name", help="its new name: one word of small letters and digits, such as meridian")
    forking.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    forking.set_defaults(run=lambda arguments: fork.fork(ROOT, arguments.name, dry_run=arguments.dry_run))
    making = verbs.add_parser("feature", help="make a product, from a copy of the small one")
    making.add_argument("name", help="its name: one word of small letters and digits, such as clauses")
    making.set_defaults(run=lambda arguments: feature.make(ROOT, arguments.name))
    arguments = parser.parse_args()
    try:
        print(arguments.run(arguments))
    except Refused as refused:
        print(f"kit: {refused}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
