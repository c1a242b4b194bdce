"""The model that answered while a fault lasted, though the route prefers another: its evals, and how a client sees it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.domain.figures import count
from app.releases.eval_history import filed
from app.stack.gameday.traffic import ANSWERED, Seen

HEADERS = ("octant-provider", "octant-model", "octant-attempts", "octant-fallbacks", "octant-degraded", "octant-release")


def answered_instead(seen: Sequence[Seen], releases: Path | None) -> tuple[str, dict[str, str]]:
    """The models that answered as fallbacks, then a sentence on the eval of each; and the headers of one such answer.

    Empty where none did. ``releases``: the folder whose files have the eval results.
    """
    found = [one for one in seen if one.what == ANSWERED and one.fallbacks]
    counted = Counter((one.model, one.headers.get("octant-release", "")) for one in found)
    if not found:
        return "", {}
    answered = " and ".join(f"{model} answered {count(number)}" for (model, _), number in counted.most_common())
    evals = [newest_eval(model, releases, of=release) for (model, release), _ in counted.most_common()]
    words = f"{answered} of {count(len(seen))} calls in place of the route's first model"
    return ". ".join([words, *evals]), _shown(found[-1].headers)


def newest_eval(model: str, releases: Path | None, *, of: str = "") -> str:
    """The newest stored score of a model for each prompt, in a sentence. ``model``: such as ``openai/gpt-6-sol``.

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
    scores = ", ".join(newest[name] for name in sorted(newest))
    return f"The newest eval of {model}: {scores}" if scores else f"No eval of {model} is stored"


def _by(simulated: Sequence[str], model: str) -> str:
    """The program that answered the eval's cases: a simulator's score says nothing about a model."""
    return "the simulator answered" if model.partition("/")[0] in simulated else "the model itself answered"


def _shown(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in HEADERS if headers.get(name)}
