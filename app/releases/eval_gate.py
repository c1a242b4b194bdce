"""The gate of an activation: eval results of this manifest, each model of each chain at or above its threshold (B3). Pure.

A result belongs to a manifest by its hash, so a change of one byte needs a new run. It keeps counts and thresholds, not a
verdict: the gate compares them itself. A run in which the simulator answered for a provider counts only where it does so, too.

A manifest without prompts needs no result: no suite of ours exercises a route that only clients use.
"""

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, model_validator

from app.domain.errors import Misconfigured
from app.domain.strict import Strict
from app.releases.manifest import Manifest, Sha256

Z95 = 1.959964  # two-sided 95 % of the normal distribution
COMMAND = "python -m evals release {} --accept"
_BELOW, _OVER = "below the threshold of", "over the limit of"
Share = Annotated[float, Field(gt=0, le=1)]
Figure = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Score(Strict):
    """Passed of all cases, and the least share that must pass."""

    passed: Figure
    total: int = Field(ge=1)
    least: Share

    @model_validator(mode="after")
    def _possible(self) -> "Score":
        if self.passed > self.total:
            raise ValueError("more passed than there are")
        return self


class ModelScore(Strict):
    """The cases of one prompt as one model of its chain answered them. ``model``: such as ``openai/gpt-6-sol``."""

    prompt: str
    model: str
    passed: Figure
    total: int = Field(ge=1)
    least: Share

    @model_validator(mode="after")
    def _possible(self) -> "ModelScore":
        if self.passed > self.total:
            raise ValueError("more passed than there are")
        return self


class Limit(Strict):
    """A figure and the most that it may be."""

    value: Figure
    most: Figure


class SuiteResult(Strict):
    """One suite's run on one manifest.

    ``simulated``: the providers for which the simulator answered. ``scores``: overall, by failure mode and by measure. ``cases``
    stands for the cases and their form; ``failed`` are those that failed.
    """

    suite: str
    label: str
    simulated: tuple[str, ...]
    at: AwareDatetime
    scores: dict[str, Score] = Field(min_length=1)
    limits: dict[str, Limit] = Field(default_factory=dict)
    models: tuple[ModelScore, ...] = Field(min_length=1)
    cases: str
    failed: tuple[str, ...] = ()


class ResultFile(Strict):
    """`releases/evals/ID.json`: the results of a manifest, beside it. ``sha256`` is of everything else in the file.

    ``findings``: what the scorers found in the cases that failed, a line each, by label, suite and case. The gate needs none.
    """

    release: str
    manifest: Sha256
    suites: tuple[SuiteResult, ...] = Field(min_length=1)
    findings: dict[str, dict[str, dict[str, tuple[str, ...]]]] = Field(default_factory=dict)
    sha256: Sha256


class Unproven(Misconfigured):
    """A release lacks eval results, or has some that are too low. ``lacking``: a sentence for each."""

    def __init__(self, release: str, sha256: str, lacking: Sequence[str]) -> None:
        """The message names the commands that help."""
        self.lacking = tuple(lacking)
        listed = "\n  ".join(self.lacking)
        how = "misses thresholds of the evals" if all(measured([one]) for one in self.lacking) else "lacks eval results"
        super().__init__(
            f"Release {release} (manifest sha256 {sha256[:12]}…) {how}:\n  {listed}\n"
            f"{remedy(release, self.lacking)} To go on nevertheless: --force, with a --reason; that is audited, and an alert"
            " fires until a release with results is live."
        )


def interval(passed: float, total: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, 1927). It holds for few cases and for shares near 0 and 1."""
    if not total:
        return (0.0, 1.0)
    n, p, z = total, passed / total, Z95
    middle, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (max(0.0, (middle - spread) / (1 + z * z / n)), min(1.0, (middle + spread) / (1 + z * z / n)))


def digest(results: Mapping[str, Any]) -> str:
    """The hash of a result file's content, as parsed JSON without ``sha256``."""
    content = {name: value for name, value in results.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def lacking(manifest: Manifest, found: Sequence[SuiteResult], *, simulated: Collection[str]) -> list[str]:
    """What a manifest lacks to be live, a sentence each; empty if nothing.

    ``found``: results of exactly this manifest, in any order. ``simulated``: the providers that the simulator stands in for here.
    """
    chosen, problems = dict[str, SuiteResult](), list[str]()
    for prompt in manifest.prompts:
        route = manifest.routes.get(manifest.prompts[prompt].route)
        providers = {target.provider for target in route.targets} if route else set()
        of_prompt = [result for result in found if any(score.prompt == prompt for score in result.models)]
        usable = [result for result in of_prompt if not providers & set(result.simulated) - set(simulated)]
        if usable:
            newest = max(usable, key=lambda result: result.at)
            chosen[newest.suite] = newest
            problems += _unasked(manifest, prompt, newest)
        elif of_prompt:
            fake = sorted({p for result in of_prompt for p in providers & set(result.simulated)} - set(simulated))
            problems.append(f"prompt {prompt}: evaluated on the simulator only; here real models of {' and '.join(fake)} answer.")
        else:
            problems.append(f"prompt {prompt}: no suite's result for this manifest.")
    return problems + _worst_first(missed for result in chosen.values() for missed in _missed(result))


def _unasked(manifest: Manifest, prompt: str, result: SuiteResult) -> Iterator[str]:
    """The models of a prompt's chain that were not evaluated."""
    asked = {score.model for score in result.models if score.prompt == prompt}
    route = manifest.prompts[prompt].route
    for place, target in enumerate(manifest.routes[route].targets, 1):
        if (model := f"{target.provider}/{target.model}") not in asked:
            yield f"{model}, place {place} of {route}: not evaluated for the prompt {prompt} by the suite {result.suite}."


def judged(result: SuiteResult) -> dict[str, Score]:
    """Every score that has a threshold, by name: those of the suite, and each model alone, over all prompts that it answers."""
    found = dict(result.scores)
    for model in dict.fromkeys(score.model for score in result.models):
        own = [score for score in result.models if score.model == model]
        passed, total = sum(score.passed for score in own), sum(score.total for score in own)
        found[model] = Score(passed=passed, total=total, least=max(score.least for score in own))
    return found


def below(result: SuiteResult) -> list[str]:
    """The thresholds that a result misses, a sentence each, the worst first."""
    return _worst_first(_missed(result))


def measured(lacking: Iterable[str]) -> bool:
    """Whether some of the sentences are of results that exist and are too low: another run would not help."""
    return any(_BELOW in sentence or _OVER in sentence for sentence in lacking)


def remedy(release: str, lacking: Sequence[str]) -> str:
    """The next step for a release that lacks results: results that are missing can be made, those that are too low cannot."""
    made = f"`{COMMAND.format(release)}` makes the results that are missing and writes them beside the manifest."
    low = "The results are there and too low: another run changes none. Mend the prompt, the model or the index in a new release."
    kinds = {measured([sentence]) for sentence in lacking}
    return " ".join(words for kind, words in ((False, made), (True, low)) if kind in kinds)


def _worst_first(missed: Iterable[tuple[float, str]]) -> list[str]:
    return [sentence for _, sentence in sorted(missed, key=lambda one: -one[0])]


def _missed(result: SuiteResult) -> Iterator[tuple[float, str]]:
    """How far each missed threshold is missed, and the sentence. A limit is of another unit: it comes after the shares."""
    for name, score in judged(result).items():
        if (short := score.least - score.passed / score.total) > 0:
            shares = f"{score.passed / score.total:.1%} passed, {short * 100:.1f} points {_BELOW} {score.least:.0%}"
            yield short, f"{result.suite}: {name}: {shares}."
    for name, limit in result.limits.items():
        if (over := limit.value - limit.most) > 0:
            yield 0, f"{result.suite}: {name} is {limit.value:.4g}, {over:.2g} {_OVER} {limit.most:.4g}."
