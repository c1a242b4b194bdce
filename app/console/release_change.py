"""A change of release in sentences: pins, money, and its harm: removals and their users, unlike values, eval points."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.budget.pricing import cost
from app.console import formats
from app.console.console import Console
from app.releases import eval_history
from app.releases.compared import Compared, Row, compare
from app.releases.eval_delta import Delta, deltas, share, worst
from app.releases.eval_gate import Score
from app.releases.eval_history import OVERALL
from app.releases.manifest import Release
from app.releases.used_by import used_by

MOST_TENANTS, MOST_VALUES = 3, 6
VERBS = {"changed": "changes", "added": "adds", "removed": "removes"}
_MANY = {"index": "indexes", "prompt": "prompts", "model": "models", "embeddings": "aliases of embeddings"}
_ONE = {"embeddings": "alias of embeddings"}

Used = Mapping[str, Sequence[tuple[str, int]]]


def summary(compared: Compared) -> str:
    """The difference of two releases in one sentence: pins by kind, and the cost of last week's calls."""
    if not compared.changed:
        return "No pin differs."
    by_verb = {verb: [row for row in compared.changed if row.kind == kind] for kind, verb in VERBS.items()}
    changes = formats.listed([f"{verb} {kinds_words(rows)}" for verb, rows in by_verb.items() if rows])
    return f"It {changes}; {money_words(compared)}."


def kinds_words(rows: Sequence[Row]) -> str:
    """How many pins these are, by kind."""
    kinds: dict[str, int] = {}
    for row in rows:
        kind = row.name.partition(" ")[0]
        kinds[kind] = kinds.get(kind, 0) + 1
    words = [
        kind if kind in ("prices", "code") else formats.number(n, _ONE.get(kind, kind), _MANY[kind]) for kind, n in kinds.items()
    ]
    return formats.listed(words)


def money_words(compared: Compared) -> str:
    """How the cost of last week's calls would change, at their numbers of tokens."""
    calls = sum(one.calls for one in compared.money)
    if not calls:
        return "there are no answered calls of last week to price it by"
    before, after = (sum(getattr(one, side) * one.calls for one in compared.money) for side in ("before", "after"))
    counted = f"last week's {formats.number(calls, 'call')} would cost"
    if before == after:
        return f"{counted} the same if the answers were as long"
    change = formats.share(abs(after / before - 1)) if before else "all of it"
    return f"{counted} {change} {'more' if after > before else 'less'} if the answers were as long"


@dataclass(frozen=True, slots=True)
class Effects:
    """What a change does to users, in sentences: ``harm`` is what a user may miss, ``facts`` is all else."""

    harm: Sequence[str] = ()
    facts: Sequence[str] = ()


async def effects(console: Console, old: str, new: str) -> Effects:
    """The sentences; none where no release is live, or its pins do not resolve here. Raises Misconfigured, SQLAlchemyError."""
    if not old:
        return Effects()
    releases = console.parts.releases
    before, after = (await releases.find(old)).release, (await releases.find(new)).release
    if not before or not after:
        return Effects()
    names = removed(before, after)
    used = await used_by(console.parts.engine, names, [name for name in names if name in after.prompts])
    found = [(bool(used.get(name)), words) for name, words in zip(names, removal_words(before, after, used), strict=True)]
    if values := value_words(compare(before, after, {}, cost)):
        found.append((True, f"Values that change: {values}."))
    filed, _ = await asyncio.to_thread(eval_history.filed, console.parts.releases_dir)
    found += [(bool(one.lost), eval_words(one)) for one in deltas(filed, old, new)]
    return Effects(*([words for harms, words in found if harms is wanted] for wanted in (True, False)))


def removed(old: Release, new: Release) -> list[str]:
    """Aliases and prompts that clients or a product could call before and cannot after."""
    gone = [name for name in old.callable if name not in new.callable]
    return gone + [name for name in old.prompts if name not in new.prompts and name not in gone]


def removal_words(old: Release, new: Release, used: Used) -> list[str]:
    """A sentence for each name that is removed, with its tenants of the last week."""
    found = []
    for name in removed(old, new):
        kind = "Prompt" if name in old.prompts else "The alias of embeddings" if name in old.embeddings else "The alias"
        closed = name in new.prompts
        end = "closed to clients: calls that name it" if closed else "removed: its calls"
        found.append(f"{kind} {name} is {end} will get 404. {_users(used.get(name, ()), named=closed)}")
    return found


def _users(tenants: Sequence[tuple[str, int]], *, named: bool = False) -> str:
    if not tenants:
        return f"No call of the last 7 d {'named' if named else 'used'} it."
    listed_ = [f"{tenant} ({formats.number(calls, 'call')})" for tenant, calls in tenants[:MOST_TENANTS]]
    if rest := tenants[MOST_TENANTS:]:
        listed_.append(formats.number(len(rest), "more tenant"))
    return f"In the last 7 d it was {'named' if named else 'used'} by {formats.listed(listed_)}."


def value_words(compared: Compared) -> str:
    """The settings of models that both releases have and that differ: ``model smart: max output tokens 2048 → 40``."""
    rows = [(name, row) for name, changed in compared.routes.items() for row in changed if row.kind == "changed"]
    words = [f"model {name}: {row.name} {row.before} → {row.after}" for name, row in rows[:MOST_VALUES]]
    return "; ".join([*words, *([f"{len(rows) - MOST_VALUES} more"] if rows[MOST_VALUES:] else [])])


def eval_words(one: Delta) -> str:
    """How a suite's cases fare with the second release, and the failure mode that loses most; or why that is not known."""
    if one.problem or one.before is None or one.after is None:
        return f"Evals of {one.suite}: not compared, as {one.problem}."
    was, now = one.before.result.scores.get(OVERALL), one.after.result.scores.get(OVERALL)
    overall = f" {_points(share(was), share(now))}:" if was and now else ""
    words = f"Evals of {one.suite}:{overall} {formats.number(len(one.won), 'case')} won, {formats.count(len(one.lost))} lost"
    if found := worst(one.before, one.after):
        name, then, now = found
        words += (
            f"; worst failure mode: {name.replace('_', ' ')}, {now.passed:g} of {now.total} passed where {then.passed:g} did"
            f" ({_points(share(then), share(now))}): {judged_words(now, simulated=bool(one.after.result.simulated))}"
        )
        words += f"; the gate refuses release {one.before.release}" if one.before.below else ""
    return f"{words}."


def judged_words(score: Score, *, simulated: bool) -> str:
    """How the gate judges a score that is lower than another release's: by its threshold alone."""
    least = f"{formats.share(score.least)}{' on the simulator' if simulated else ''}"
    if (share(score) or 0) < score.least:
        return f"refused, as it is below its threshold of {least}"
    return f"allowed, as its threshold is {least}"


def _points(before: float | None, after: float | None) -> str:
    return formats.points((after or 0) - (before or 0))
