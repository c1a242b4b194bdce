"""How the eval suites judge the change from one release to another, by the results beside their manifests. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.releases import eval_gate
from app.releases.eval_gate import Score
from app.releases.eval_history import OVERALL, Filed


@dataclass(frozen=True, slots=True)
class Delta:
    """One suite on two releases; None where a release has no result of it."""

    suite: str
    before: Filed | None
    after: Filed | None

    @property
    def problem(self) -> str:
        """Why the two cannot be compared; empty where they can."""
        missing = [name for name, one in (("the first", self.before), ("the second", self.after)) if one is None]
        if self.before is None or self.after is None:
            return f"{' and '.join(missing)} release has no result of it"
        if changed := [one.release for one in (self.before, self.after) if not one.whole]:
            return f"the result file of {' and of '.join(changed)} was changed after it was written"
        was, now = self.before.result, self.after.result
        if was.label != now.label:
            return f"{was.label} answered for the first, {now.label} for the second"
        return "" if was.cases == now.cases else "the cases are not the same"

    @property
    def lost(self) -> list[str]:
        """The cases that passed before and fail after."""
        return flipped(self.before, self.after)

    @property
    def won(self) -> list[str]:
        """The cases that failed before and pass after."""
        return flipped(self.after, self.before)

    @property
    def missed(self) -> int:
        """How many thresholds the second misses: the gate refuses it."""
        return len(eval_gate.below(self.after.result)) if self.after else 0

    @property
    def scores(self) -> Iterator[tuple[str, Score | None, Score | None]]:
        """The overall score first; of suites that both have, then each failure mode and measure whose share differs."""
        was, now = (dict(one.result.scores) if one else {} for one in (self.before, self.after))
        yield OVERALL, was.pop(OVERALL, None), now.pop(OVERALL, None)
        for name in dict.fromkeys([*was, *now]) if was and now else ():
            if share(was.get(name)) != share(now.get(name)):
                yield name, was.get(name), now.get(name)

    @property
    def line(self) -> str:
        """All of it in a line, for the terminal."""
        if self.problem:
            return f"{self.suite}: not compared, {self.problem}"
        was, now = (one.result.scores.get(OVERALL) if one else None for one in (self.before, self.after))
        shares = f"{was.passed:g} of {was.total} -> {now.passed:g} of {now.total}" if was and now else "no overall score"
        flips = "; ".join(f"{word} {', '.join(names)}" for word, names in (("lost", self.lost), ("won", self.won)) if names)
        refused = f"; {self.missed} thresholds missed" if self.missed else ""
        return f"{self.suite}: {shares}; {flips or 'no case flipped'}{refused}"


def deltas(filed: Sequence[Filed], old: str, new: str) -> list[Delta]:
    """The suites that either release has a result of, by name."""
    before, after = ({one.result.suite: one for one in filed if one.release == release} for release in (old, new))
    return [Delta(suite, before.get(suite), after.get(suite)) for suite in sorted({*before, *after})]


def flipped(before: Filed | None, after: Filed | None) -> list[str]:
    """The cases that fail in ``after`` and not in ``before``; none where one of them is not there."""
    return sorted(set(after.result.failed) - set(before.result.failed)) if before and after else []


def worst(before: Filed, after: Filed) -> tuple[str, Score, Score] | None:
    """The failure mode that loses most from one result to another, with both scores; None where none loses."""
    lost = {
        name: change
        for name, score in after.modes.items()
        if name in before.modes and (change := (share(score) or 0) - (share(before.modes[name]) or 0)) < 0
    }
    name = min(lost, key=lambda name: lost[name], default=None)
    return None if name is None else (name, before.modes[name], after.modes[name])


def share(score: Score | None) -> float | None:
    """Passed of total; None without a score."""
    return score.passed / score.total if score else None
