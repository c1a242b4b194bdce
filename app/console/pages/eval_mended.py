"""A case that failed with one release and passes with a later one: its question, both answers, and why the first was wrong."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from app.budget.pricing import cost
from app.console.console import Console
from app.console.release_change import eval_words, value_words
from app.domain.errors import Misconfigured, OctantError
from app.releases import eval_history
from app.releases.compared import compare
from app.releases.eval_cases import cases
from app.releases.eval_delta import deltas
from app.releases.eval_history import Trial

TENANT = "evals"  # whose redaction tokens are made for the case's texts, as for the findings in its answers


@dataclass(frozen=True, slots=True)
class Mended:
    """``question`` and ``criteria``: redacted, empty where the case's file is not here. ``others``: further such cases.

    ``changed``: the values and pins that differ between the two releases, and the cases won and lost with them.
    """

    suite: str
    case: str
    failed: Trial
    passed: Trial
    question: str
    criteria: str
    others: Sequence[tuple[str, str]]
    changed: str


async def mended(console: Console) -> Mended | None:
    """The first by name of those in the newest stored runs; None without any. Raises SQLAlchemyError."""
    found = await eval_history.first_mended(console.parts.engine)
    if not found:
        return None
    ((suite, case), *others), pair = found
    question, criteria = await asyncio.to_thread(_written, console, suite, case)
    words = await changed(console, suite, *(one.release for one in pair))
    return Mended(suite, case, *pair, question, criteria, others, words)


async def changed(console: Console, suite: str, old: str, new: str) -> str:
    """See `Mended`; empty where a release's pins do not resolve here."""
    try:
        before, after = [(await console.parts.releases.find(name)).release for name in (old, new)]
    except (OctantError, Misconfigured):
        return ""
    if not before or not after:
        return ""
    compared = compare(before, after, {}, cost)
    pins = [f"{row.name} {row.kind}" for row in compared.changed if row.name.startswith(("prompt", "index", "code"))]
    same = "" if any(name.startswith(("prompt", "index")) for name in pins) else "; no prompt and no index"
    words = "; ".join(filter(None, [value_words(compared), *pins]))
    filed, _ = await asyncio.to_thread(eval_history.filed, console.parts.releases_dir)
    judged = [eval_words(one) for one in deltas(filed, old, new) if one.suite == suite]
    return " ".join([f"{words or 'no value of a model'}{same}.", *judged])


def _written(console: Console, suite: str, case: str) -> tuple[str, str]:
    """The user's words and the criteria of a case: of its input, the longest text is what the user asks."""
    written = cases(suite).get(case)
    if not written:
        return "", ""
    given = written.content.get("input")
    texts = [one for one in given.values() if isinstance(one, str)] if isinstance(given, dict) else []
    question = console.parts.redactor.redact(max(texts, key=len, default=""), tenant=TENANT)
    return question, str(written.content.get("criteria") or "")
