"""Eval coverage: the live release against its thresholds, and the change from the first run to the newest."""

from collections.abc import Sequence

from app.console import formats
from app.console.readiness.answers import Answer, Evidence, aged, missing
from app.console.readiness.sources import Sources
from app.releases.eval_gate import SuiteResult
from app.releases.eval_history import OVERALL, simulated_in, thresholds
from app.releases.eval_results import Proof

QUESTION = "How do you know that a change does not make the answers worse?"
COMMAND = "make eval"


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
    found += [missing("Eval runs", "no suite ran on this manifest", f"python -m evals release {proof.release}")] * (not results)
    found += _delta(proof, release)
    if simulated := simulated_in(results):
        found.append(
            Evidence(name="Real models", value=simulated, state="gaps", command=f"python -m evals release {proof.release}")
        )
    return Answer(axis="Evals", question=QUESTION, words=_words(proof.release, results, lacking), evidence=found, command=COMMAND)


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
        name=f"Suite {one.suite}", value=value, state=aged(one.at, sources.now), at=one.at, link=link, command=COMMAND
    )


def _delta(proof: Proof, link: str) -> list[Evidence]:
    """How each suite's share changed from the first release with results to the live one."""
    found = []
    for now in newest(proof.results):
        release, first = next(((name, one) for name, one in proof.earlier if one.suite == now.suite), ("", None))
        if first is None or OVERALL not in first.scores or OVERALL not in now.scores:
            continue
        name = f"Change of {now.suite}"
        if release == proof.release:
            value = f"{release} is the first release with results of it, so there is none to compare with"
            found.append(Evidence(name=name, value=value, state="gaps", at=now.at, link=link))
            continue
        before, after = (one.scores[OVERALL].passed / one.scores[OVERALL].total for one in (first, now))
        began = f"{formats.share(before)} with release {release}, the first with results"
        value = f"{began}, {formats.share(after)} with {proof.release}, which is live: {(after - before) * 100:+.1f} points"
        found.append(Evidence(name=name, value=value, at=now.at, link=link))
    return found


def _words(release: str, results: Sequence[SuiteResult], lacking: Sequence[str]) -> str:
    if lacking:
        return f"The gate would refuse the live release {release}: {lacking[0]}"
    if not results:
        return f"No eval suite has run on the live release {release}."
    overall = [one.scores[OVERALL] for one in results if OVERALL in one.scores]
    passed, total = sum(score.passed for score in overall), sum(score.total for score in overall)
    kept = sum(len(one.scores) for one in results)
    return (
        f"No release goes live below its thresholds: {release} passes {passed:g} of {formats.number(total, 'case')}, and keeps"
        f" each of {formats.number(kept, 'threshold')}: overall, by failure mode and by measure."
    )
