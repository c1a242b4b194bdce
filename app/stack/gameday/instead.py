"""The model that answered while a fault lasted, though the route prefers another: its evals, and how a client sees it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.domain.figures import count
from app.releases.eval_history import filed
from app.stack.gameday.traffic import ANSWERED, Seen

HEADERS = ("octant-provider", "octant-model", "octant-attempts", "octant-fallbacks", "octant-degraded", "octant-release")
UNKNOWN = "no eval of it is stored"


def answered_instead(seen: Sequence[Seen], releases: Path | None) -> tuple[str, dict[str, str]]:
    """A sentence on each model that answered as a fallback, and the headers of one such answer; empty without one.

    ``releases``: the folder whose files have the eval results.
    """
    found = [one for one in seen if one.what == ANSWERED and one.fallbacks]
    counted = Counter((one.model, one.headers.get("octant-release", "")) for one in found)
    words = [
        f"{model} answered {count(number)} of {count(len(seen))} calls in place of the route's first model; "
        f"{newest_eval(model, releases, of=release)}"
        for (model, release), number in counted.most_common()
    ]
    return ". ".join(words), _shown(found[-1].headers) if found else {}


def newest_eval(model: str, releases: Path | None, *, of: str = "") -> str:
    """The newest stored score of a model for each prompt, in a part of a sentence. ``model``: such as ``openai/gpt-6-sol``.

    ``of``: the release that answered; a result of it counts before newer ones of others.
    """
    whole = [one for one in filed(releases)[0] if one.whole] if releases else []
    newest = {
        score.prompt: f"{score.passed:g} of {score.total} cases of {score.prompt} passed"
        f" ({one.result.at:%Y-%m-%d}, release {one.release}, {_by(one.result.simulated, model)})"
        for one in sorted(whole, key=lambda one: (one.release == of, one.result.at))
        for score in one.result.models
        if score.model == model
    }
    return f"its newest eval: {', '.join(newest[name] for name in sorted(newest))}" if newest else UNKNOWN


def _by(simulated: Sequence[str], model: str) -> str:
    """The program that answered the eval's cases: a simulator's score says nothing about a model."""
    return "the simulator answered" if model.partition("/")[0] in simulated else "the model itself answered"


def _shown(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in HEADERS if headers.get(name)}
