"""The threats of the Security page: their filter in the address, their states, and how they stand in a sentence."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.console import formats
from app.security.threats import Threat

LONGEST = 200
STATES = {
    "missing": "lacks a control or a test", "failed": "a test failed here", "passed": "every test passed here",
    "ci": "tests that CI runs",
}  # fmt: skip
RISKS = {
    "LLM01": "prompt injection", "LLM02": "disclosure", "LLM03": "supply chain", "LLM04": "poisoning", "LLM05": "output handling",
    "LLM06": "excessive agency", "LLM07": "prompt leakage", "LLM08": "vectors", "LLM09": "misinformation",
    "LLM10": "unbounded consumption",
}  # fmt: skip
"""OWASP's ten risks of applications with language models (2025), in short."""
SERVICE = "service"
UNPROTECTED = (8, 4, 6, 7, 16)  # of the service: the ones whose rest a buyer asks for first


@dataclass(frozen=True, slots=True)
class ThreatFilter:
    """``state``: of `STATES`. ``risk``: an OWASP number. ``of``: a product, or `SERVICE`. Empty: all.

    ``text``: each word of it stands in the row.
    """

    state: str = ""
    risk: str = ""
    of: str = ""
    text: str = ""

    @property
    def query(self) -> dict[str, str]:
        """As it stands in an address."""
        named = {"threats": self.state, "risk": self.risk, "of": self.of, "text": self.text}
        return {name: value for name, value in named.items() if value}

    @property
    def command(self) -> str:
        """The same threats in a terminal."""
        options = (("--state", self.state), ("--risk", self.risk), ("--of", self.of))
        words = [shlex.quote(word) for word in self.text.split()]
        given = [f"{name} {shlex.quote(value)}" for name, value in options if value]
        return " ".join(["octant threats", *given, *(["--"] if any(word.startswith("-") for word in words) else []), *words])

    def has(self, row: Threat) -> bool:
        """Whether a row matches."""
        words = f"{row.number} {row.threat} {row.control} {row.remains} {row.risks} {row.requirements}".lower()
        return (
            self.state in ("", state_of(row))
            and self.of in ("", row.product or SERVICE)
            and (not self.risk or self.risk in row.risks)
            and all(word in words for word in self.text.lower().split())
        )


def filter_of(query: Mapping[str, str]) -> ThreatFilter:
    """The filter in an address; a state or a risk that there is not is passed over."""
    state, risk = query.get("threats", ""), query.get("risk", "")
    return ThreatFilter(
        state if state in STATES else "", risk if risk in RISKS else "", query.get("of", "").strip()[:LONGEST],
        query.get("text", "").strip()[:LONGEST],
    )  # fmt: skip


def unprotected(rows: Sequence[Threat]) -> list[Threat]:
    """A few threats of which something remains, in the order of `UNPROTECTED`; the rows have the rest."""
    known = {row.number: row for row in rows if row.remains}
    return [known[number] for number in UNPROTECTED if number in known]


def state_of(row: Threat) -> str:
    """Its state, of `STATES`: the worst of its tests."""
    if row.state == "missing":
        return "missing"
    if row.failed:
        return "failed"
    return "passed" if len(row.passed) == len(row.proofs) else "ci"


def choices(rows: Sequence[Threat]) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """The choices of the filter's form: name, label, and each value that a row has, with the number of its rows."""
    states = Counter(map(state_of, rows))
    risks = {risk: sum(risk in row.risks for row in rows) for risk in RISKS}
    of = Counter(row.product or SERVICE for row in rows)
    return [
        ("threats", "State", [(name, f"{words} ({states[name]})") for name, words in STATES.items()]),
        ("risk", "OWASP", [(name, f"{name} {words} ({risks[name]})") for name, words in RISKS.items() if risks[name]]),
        ("of", "Belongs to", [(name, f"{'the service' if name == SERVICE else name} ({n})") for name, n in sorted(of.items())]),
    ]


def counts_of(rows: Sequence[Threat]) -> Mapping[str, int]:
    """Threats, their proofs, how many of either are missing, and how many proofs passed or failed when they last ran here."""
    proofs = [proof for row in rows for proof in row.proofs]
    return {
        "threats": len(rows), "proofs": len(proofs), "missing": sum(proof.state == "missing" for proof in proofs),
        "open": sum(row.state == "missing" for row in rows), "unknown": sum(proof.state == "not here" for proof in proofs),
        "failed": sum(len(row.failed) for row in rows), "passed": sum(len(row.passed) for row in rows),
    }  # fmt: skip


def matched(rows: Sequence[Threat], whole: int) -> str:
    """How the rows that match stand. ``whole``: the number of all."""
    if not rows:
        return f"No threat of {whole} matches."
    found = Counter(map(state_of, rows))
    each = {
        "missing": "without a control or a test that it names", "failed": "with a test that failed here",
        "passed": "with only tests that passed when they last ran here", "ci": "with tests that CI runs on every change",
    }  # fmt: skip
    parts = [f"{found[state]} {words}" for state, words in each.items() if found[state]]
    tests = counts_of(rows)
    whole_number = formats.number(tests["proofs"], "test")
    ran = f"{tests['passed']} of {whole_number} passed here, {tests['failed'] or 'none'} failed"
    if not tests["passed"] and not tests["failed"]:
        ran = f"None of their {whole_number} was run in this checkout"
    head = formats.number(whole, "threat") if len(rows) == whole else f"{len(rows)} of {formats.number(whole, 'threat')} match"
    return f"{head}: {', '.join(parts)}. {ran}."


def proven(counts: Mapping[str, int]) -> str:
    """How all threats stand, in a sentence, by `counts_of`."""
    threats, tests = counts["threats"], formats.number(counts["proofs"], "test")
    if not threats:
        return "This installation carries no threat model; the repository does."
    if counts["open"]:
        return f"{formats.number(counts['open'], 'threat')} of {threats} lack a control or a test that they name."
    if counts["failed"]:
        failed = f"{counts['failed']} of the {tests}"
        return f"Each of {threats} threats has its control and its tests, but {failed} failed when they last ran here."
    if counts["unknown"]:
        return f"Each of {threats} threats has its control here; their {counts['proofs']} tests are not in this image."
    whole = f"Each of {threats} threats has its control and the tests it names"
    if counts["passed"] == counts["proofs"]:
        return f"{whole}; {tests} passed when they last ran here."
    here = f", and {counts['passed']} passed here" if counts["passed"] else ", not this page"
    return f"{whole}: {tests} that CI runs{here}."
