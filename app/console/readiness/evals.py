"""Eval coverage: the live release against its thresholds, and the change from the first run to the newest."""

import shlex
from collections.abc import Sequence
from urllib.parse import quote

from app.console import formats
from app.console.readiness.answers import Answer, Evidence, aged, missing
from app.console.readiness.sources import Sources
from app.releases import eval_history
from app.releases.eval_gate import COMMAND as MADE_BY
from app.releases.eval_gate import SuiteResult, below
from app.releases.eval_history import OVERALL, simulated_in, threshold_count, thresholds
from app.releases.eval_results import Proof

QUESTION = "How do you know that a change does not make the answers worse?"
COMMAND = "make eval"
AGAIN = f"`{MADE_BY.format('ID')}` runs it again on the live release."


async def answer(sources: Sources) -> Answer:
    """Run the gate on the live release again, and read the history of runs."""
    proof = await sources.releases.live_proof()
    if proof is None:
        found = [missing("Live release", "none", "octant release activate")]
        return Answer(axis="Evals", question=QUESTION, words="No release is live.", evidence=found, command=COMMAND)
    results, lacking = newest(proof.results), proof.lacking
    release = f"/console/releases/{proof.release}"
    found = [_of_suite(one, sources, release) for one in results]
    found += [Evidence(name="Gate", value=words, state="failing", command=COMMAND) for words in lacking]
    found += [missing("Eval runs", "no suite ran on this manifest", MADE_BY.format(proof.release))] * (not results)
    found += _delta(proof, release)
    refusals = refused(proof)
    found += [_refused(name, one) for name, one in refusals]
    if simulated := simulated_in(results):
        run = MADE_BY.format(proof.release)
        real = f"With keys of the vendors, `{run}` runs the suites on their models."
        found.append(Evidence(name="Real models", value=simulated, state="gaps", closed_by=real, command=run))
    if not sources.own_products:
        value = "no product of your own has a suite of evals yet: each product here is an example of this project"
        begun = "`make feature NAME=…` begins one, with a suite of its own."
        found.append(Evidence(name="Own product", value=value, state="gaps", closed_by=begun, command="make feature NAME=…"))
    found += await _mended(sources)
    return Answer(
        axis="Evals",
        question=QUESTION,
        words=_words(proof.release, results, lacking, refusals),
        evidence=found,
        command=COMMAND,
    )


def newest(results: Sequence[SuiteResult]) -> list[SuiteResult]:
    """The newest result of each suite, by name."""
    by_suite = {one.suite: one for one in sorted(results, key=lambda one: one.at)}
    return [by_suite[name] for name in sorted(by_suite)]


def _of_suite(one: SuiteResult, sources: Sources, link: str) -> Evidence:
    score = one.scores.get(OVERALL) or next(iter(one.scores.values()))
    value = (
        f"{score.passed:g} of {score.total} cases pass ({formats.share(score.passed / score.total)}; the threshold is"
        f" {formats.share(score.least)}); {thresholds(one)}"
    )
    return Evidence(
        name=f"Suite {one.suite}",
        value=value,
        state=aged(one.at, sources.now),
        closed_by=AGAIN,
        at=one.at,
        link=link,
        command=COMMAND,
    )


def _delta(proof: Proof, link: str) -> list[Evidence]:
    """How each suite's share changed from the first release whose results hold to the live one."""
    found = []
    for now in newest(proof.results):
        held = ((name, one) for name, one in proof.earlier if one.suite == now.suite and not below(one))
        release, first = next(held, ("", None))
        if first is None or OVERALL not in first.scores or OVERALL not in now.scores:
            continue
        name = f"Change of {now.suite}"
        if release == proof.release:
            value = f"release {release} is the first that held, so there is none to compare with"
            next_ = f"The next release is compared with it, once `{COMMAND}` has run on that."
            found.append(Evidence(name=name, value=value, state="gaps", closed_by=next_, at=now.at, link=link, command=COMMAND))
            continue
        before, after = (one.scores[OVERALL].passed / one.scores[OVERALL].total for one in (first, now))
        began = f"{formats.share(before)} with release {release}, the first that held"
        value = f"{began}, {formats.share(after)} with release {proof.release}, which is live: {formats.points(after - before)}"
        found.append(Evidence(name=name, value=value, at=now.at, link=link, command=COMMAND))
    return found


async def _mended(sources: Sources) -> list[Evidence]:
    """The cases whose wrong answer is kept beside the one that passes; that alone proves no mending."""
    found = await eval_history.first_mended(sources.engine)
    if not found:
        return []
    cases, (before, after) = found
    counted = formats.number(len(cases), "case failed", "cases failed")
    value = f"{counted} with release {before.release} and passed with {after.release}: both answers can be read"
    return [
        Evidence(
            name="Wrong and right answers",
            value=value,
            at=after.at,
            link="/console/evals#example",
            command="python -m evals example",
        )
    ]


def refused(proof: Proof) -> list[tuple[str, SuiteResult]]:
    """The results below their thresholds, each with its release, oldest first: the gate refuses these releases."""
    return [(name, one) for name, one in proof.earlier if name != proof.release and below(one)]


def _refused(release: str, one: SuiteResult) -> Evidence:
    """A release that the gate refuses, with the first of its reasons."""
    first, *rest = below(one)
    more = f"; {formats.number(len(rest), 'more threshold')} missed" if rest else ""
    return Evidence(
        name=f"Refused: {release}", value=f"{first.rstrip('.')}{more}", at=one.at,
        link=f"/console/evals?release={quote(release)}", command=f"python -m evals release {shlex.quote(release)}",
    )  # fmt: skip


def _words(
    release: str, results: Sequence[SuiteResult], lacking: Sequence[str], refused: Sequence[tuple[str, SuiteResult]] = ()
) -> str:
    if lacking:
        return formats.refused(release, lacking)
    if not results:
        return f"No eval suite has run on the live release {release}."
    overall = [one.scores[OVERALL] for one in results if OVERALL in one.scores]
    passed, total = sum(score.passed for score in overall), sum(score.total for score in overall)
    kept = sum(map(threshold_count, results))
    return (
        f"The live release, {release}, passes {passed:g} of {formats.number(total, 'eval case')} and keeps all {kept} thresholds;"
        f" a gate refuses one that misses a threshold.{_words_on(refused, results)}{_simulated(results)}"
    )


def _simulated(results: Sequence[SuiteResult]) -> str:
    """Why so few cases pass where no model answered; empty where one did."""
    return (
        " The simulator answered by rules: it proves that a change is noticed, not that a vendor's model answers well."
        if simulated_in(results)
        else ""
    )


def _words_on(refused: Sequence[tuple[str, SuiteResult]], live: Sequence[SuiteResult] = ()) -> str:
    """The newest release that the gate refuses, with its score beside the live one's on the same cases; empty without one."""
    if not refused:
        return ""
    release, one = refused[-1]
    missed = sum(len(below(result)) for name, result in refused if name == release)
    return (
        f" It refused release {release}: {_scored(one, live)}{formats.number(missed, 'threshold was', 'thresholds were')} missed."
    )


def _scored(one: SuiteResult, live: Sequence[SuiteResult]) -> str:
    """How many cases of its suite a refused release passed, and the live one of the same ones."""
    overall = one.scores.get(OVERALL)
    if not overall:
        return ""
    same = (other for other in live if (other.suite, other.label, other.cases) == (one.suite, one.label, one.cases))
    now = next((score for other in same if (score := other.scores.get(OVERALL))), None)
    beside = f" where the live one passes {now.passed:g}" if now else ""
    return f"of the suite {one.suite}, {overall.passed:g} of {formats.number(overall.total, 'case')} passed{beside}, and "
