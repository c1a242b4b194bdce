"""`make ner`: the findings and the cost of the model of names and addresses, on generated texts; exits 1 below a floor.

The sentences are those of `make bench-redaction`: they are third-party texts, and the model was not trained by us. Times are CPU
seconds of this process, on one thread.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from app.security.redaction import ner as names
from app.security.redaction.redactor import Redactor
from benchmarks.redaction.__main__ import generated, record
from benchmarks.redaction.score import Line, Tally, tally

ROOT = Path(__file__).resolve().parent.parent.parent
SOUGHT = {"PERSON": frozenset({"name"}), "STREET_ADDRESS": frozenset({"address"})}
RECALL = {"PERSON": 0.65, "STREET_ADDRESS": 0.45}
PRECISION = {"PERSON": 0.80, "STREET_ADDRESS": 0.90}
DECOYS_TAKEN = 0.10  # of all: plates, colours and the like
OURS = ("numerify:NW", "numerify:##", "numerify:T-", "bothify", "pricetag", "numerify:1Z", "ean", "uuid")
OURS_TAKEN = 0.02  # of order numbers, tickets, articles, prices: it takes product codes such as AB-1234-56
PIECE = 1_500  # characters of a record


def main() -> None:
    """Generate, find, report, and check the floors."""
    parser = argparse.ArgumentParser(prog="make ner")
    parser.add_argument("--generator", default=sys.executable, help="python of the environment with presidio-evaluator")
    parser.add_argument("--seeds", type=int, nargs="+", default=[11])
    parser.add_argument("--samples", type=int, default=300, help="sentences a seed")
    arguments = parser.parse_args()
    lines = generated(arguments.generator, arguments.seeds, arguments.samples)
    redactor = Redactor(b"a key for the benchmark").with_names(names.load())
    failures = []
    for where in ("presidio", "elsewhere"):
        failures += _quality(redactor, [line for line in lines if line.where == where], where)
    failures += _decoys(redactor, [line for line in lines if line.where == "decoys"][::4])
    _cost(redactor)
    for failure in failures:
        print(f"BELOW THE FLOOR: {failure}")
    sys.exit(1 if failures else 0)


def _quality(redactor: Redactor, lines: Sequence[Line], where: str) -> list[str]:
    failures = []
    counts: Tally = tally(
        ((line, [(f.start, f.end, f.kind) for f in redactor.findings(line.text, tenant="bench")]) for line in lines), SOUGHT
    )
    for entity in SOUGHT:
        precision, recall, f1 = counts.figures([entity])
        values = counts.found[entity] + counts.missed[entity]
        print(f"{where:10} {entity:15} {values:5} values, precision {precision:.3f}, recall {recall:.3f}, F1 {f1:.3f}")
        if recall < RECALL[entity] or precision < PRECISION[entity]:
            failures.append(f"{where} {entity}: precision {precision:.3f}, recall {recall:.3f}")
    return failures


def _decoys(redactor: Redactor, decoys: Sequence[Line]) -> list[str]:
    taken = [line.template for line in decoys if redactor.findings(line.text, tenant="bench")]
    ours = [line for line in decoys if line.template.startswith(OURS)]
    of_ours = [template for template in taken if template.startswith(OURS)]
    print(f"decoys: something found in {len(taken)} of {len(decoys)}: {dict(Counter(taken))}")
    print(f"  of order numbers, tickets, articles, prices: {len(of_ours)} of {len(ours)}")
    share, own = len(taken) / len(decoys), len(of_ours) / len(ours)
    return [f"decoys taken {share:.2%}, the shop's own {own:.2%}"] if share > DECOYS_TAKEN or own > OURS_TAKEN else []


def _cost(redactor: Redactor) -> None:
    """Milliseconds of CPU a KB of support traffic as records, new and seen before. Reported, not gated: machines differ."""
    cases = "\n".join(path.read_text() for path in sorted((ROOT / "evals/suites").glob("*/cases/**/*")) if path.is_file())[
        :15_000
    ]
    pieces = [record(cases[at : at + PIECE]) for at in range(0, len(cases), PIECE)]
    size = sum(len(piece.encode()) for piece in pieces) / 1024
    for what in ("new", "seen before"):
        started = time.process_time()
        failed = [json.loads(redactor.redact(piece, tenant="bench")) for piece in pieces]
        print(f"{what:12} {(time.process_time() - started) / size * 1000:8.1f} ms CPU a KB over {len(failed)} records")


if __name__ == "__main__":
    main()
