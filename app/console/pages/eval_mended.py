"""A case that fails with one release and passes with another: its question, both answers, and why the first is wrong.

The first later release that passes it mended it; where only earlier ones do, nothing is said of mending.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from app.budget.pricing import cost
from app.console.console import Console
from app.console.formats import listed
from app.console.release_change import eval_words, value_words
from app.domain.errors import Misconfigured, OctantError
from app.releases import eval_gate, eval_history
from app.releases.compared import compare
from app.releases.eval_cases import cases
from app.releases.eval_delta import deltas
from app.releases.eval_history import Filed, Trial

IS, WAS = "is", "was"
MOST_HISTORY = 1000
TENANT = "evals"  # whose redaction tokens are made for the case's texts, as for the findings in its answers


@dataclass(frozen=True, slots=True)
class Mended:
    """``question`` and ``criteria``: redacted, empty where the case's file is not here. ``others``: further such cases.

    ``changed``: the values and pins that differ between the two releases, and the cases won and lost with them. ``refused``:
    whether the gate refuses the release that fails; ``also``: further releases that pass the case, by their files; ``lived``:
    whether the release that fails is live (`IS`), was (`WAS`), or never was (empty).
    """

    suite: str
    case: str
    failed: Trial
    passed: Trial
    question: str
    criteria: str
    others: Sequence[tuple[str, str]]
    changed: str
    refused: bool = False
    also: Sequence[str] = ()
    lived: str = ""

    @property
    def later(self) -> Sequence[str]:
        """The releases after the one that fails which pass the case, in their order."""
        return [one for one in sorted({*self.also, self.passed.release}) if one > self.failed.release]

    def shown(self, suite: str) -> list[str]:
        """The cases of a suite of which both answers are stored."""
        return [case for of, case in ((self.suite, self.case), *self.others) if of == suite]

    @property
    def heading(self) -> str:
        """A claim that the data bear out."""
        if self.later:
            return f"A case that {self.failed.release} fails, mended by {self.later[0]}"
        return "A case that fails with one release and passes with another"

    @property
    def chain(self) -> str:
        """Which release lost and which mended it, in two sentences."""
        failed = self.failed.release
        refused = ", which the gate refuses," if self.refused else ""
        lost = {
            IS: f"{failed}{refused} is live and loses this case.", WAS: f"{failed}{refused} was live and lost this case.",
        }.get(self.lived, f"{failed}{refused} was never live; it would lose this case.")  # fmt: skip
        if not self.later:
            earlier = sorted({*self.also, self.passed.release})
            return f"{lost} {listed(earlier)} {'passes' if len(earlier) == 1 else 'pass'} it."
        first, *more = self.later
        also = f"; {listed(more)} {'passes' if len(more) == 1 else 'pass'} it, too" if more else ""
        return f"{lost} It is mended by {first}, the first later release that passes it{also}."


async def mended(console: Console) -> Mended | None:
    """The first by name of those in the newest stored runs; None without any. Raises SQLAlchemyError."""
    found = await eval_history.first_mended(console.parts.engine)
    if not found:
        return None
    ((suite, case), *others), pair = found
    question, criteria = await asyncio.to_thread(_written, console, suite, case)
    failed, passed = (one.release for one in pair)
    words = await changed(console, suite, failed, passed)
    filed, _ = await asyncio.to_thread(eval_history.filed, console.parts.releases_dir)
    past = [one.release for one in await console.parts.releases.history(limit=MOST_HISTORY)]
    lived = IS if past[:1] == [failed] else WAS if failed in past else ""
    return Mended(suite, case, *pair, question, criteria, others, words, *standing(filed, suite, case, failed, passed), lived)


def standing(filed: Sequence[Filed], suite: str, case: str, failed: str, passed: str) -> tuple[bool, list[str]]:
    """Whether the gate refuses the release that failed, and the further releases that pass the case, by their files."""
    ran = [one for one in filed if one.result.suite == suite and one.whole]
    refused = any(one.release == failed and eval_gate.below(one.result) for one in filed)
    return refused, sorted(one.release for one in ran if case not in one.result.failed and one.release not in (failed, passed))


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
