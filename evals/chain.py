"""Fallback chains (E6): every model in them is evaluated by itself.

Each runs the whole suite and has a threshold of its own.

To make a model answer that is otherwise called second, a release manifest is made for the run: the live one with each route cut
down to one target. Killing the other provider would do it too, on a service that others use, and could not tell two
models of one provider apart.
"""

import hashlib
import json
import re
import shutil
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import app
from app.domain.errors import Misconfigured
from app.features.installed import installed
from app.releases.manifest import Manifest, TargetPin, parse
from app.stack.fitting import fitting
from evals.baseline import Baseline, PinnedModel
from evals.cases import InvalidSuite
from evals.gate import Thresholds
from evals.harness import Result
from evals.suite import Suite

_TIMEOUT = re.compile(r"(?m)^(\w+_timeout = )([0-9.]+)")
RELEASES = Path(app.__file__).resolve().parents[1] / "releases"


@dataclass(frozen=True, slots=True)
class Chain:
    """The models of each prompt of a release, in the order of calls."""

    release: str
    prompts: Mapping[str, tuple[str, ...]]
    pins: str

    @property
    def depth(self) -> int:
        """How many runs it takes for each model to have answered."""
        return max(map(len, self.prompts.values()), default=0)

    @property
    def models(self) -> tuple[str, ...]:
        """Every model once, such as ``openai/gpt-6-sol``."""
        return tuple(dict.fromkeys(model for models in self.prompts.values() for model in models))

    def at(self, position: int, prompt: str) -> str:
        """The model that answers a prompt whose route is cut down to ``position``.

        A shorter route is cut down to its last target.
        """
        models = self.prompts[prompt]
        return models[min(position, len(models) - 1)]


def newest(directory: Path = RELEASES) -> tuple[Path, Manifest]:
    """The release that would go live: the newest whose products are all installed. Raises InvalidSuite."""
    try:
        ids = fitting(directory)
        if not ids:
            raise InvalidSuite(f"no release in {directory} fits the installed products")
        path = directory / f"{ids[-1]}.toml"
        return path, parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, Misconfigured) as error:
        raise InvalidSuite(str(error)) from error


def chosen(release: str = "", directory: Path = RELEASES) -> tuple[Path, Manifest]:
    """A release by its id, or the newest. Raises InvalidSuite."""
    if not release:
        return newest(directory)
    path = directory / f"{release}.toml"
    try:
        manifest, fits = parse(path.read_text(encoding="utf-8"), str(path)), fitting(path.parent)
    except (OSError, Misconfigured) as error:
        raise InvalidSuite(str(error)) from error
    if manifest.id != release or path.stem not in fits:
        raise InvalidSuite(f"{path} has another id, or pins a product that is not installed")
    return path, manifest


def chain_of(manifest: Manifest, used: Collection[str]) -> Chain:
    """The chains of the prompts that a suite uses in a release.

    Raises InvalidSuite for a prompt that the release does not have.

    ``pins`` changes when a prompt of the suite or an index of its product does: then every model is to be run anew.
    """
    if missing := sorted(set(used) - set(manifest.prompts)):
        raise InvalidSuite(f"the release {manifest.id} has no prompt {', '.join(missing)}")
    prompts = {
        name: tuple(f"{target.provider}/{target.model}" for target in manifest.routes[prompt.route].targets)
        for name, prompt in sorted(manifest.prompts.items())
        if name in used
    }
    products = {name.partition("/")[0] for name in used}
    own = {index.name for feature in installed() if feature.name in products for index in feature.indexes}
    indexes = sorted((name, version) for name, version in manifest.indexes.items() if name in own)
    pinned = [sorted((n, p.sha256) for n, p in manifest.prompts.items() if n in used), indexes]
    return Chain(manifest.id, prompts, hashlib.sha256(json.dumps(pinned).encode()).hexdigest()[:16])


def check_claimed(manifest: Manifest, suites: Sequence[Suite]) -> None:
    """Raise InvalidSuite for a prompt of a release that no suite evaluates: its models would go live unevaluated."""
    claimed = {prompt for suite in suites for prompt in suite.prompts.values()}
    if unclaimed := sorted(set(manifest.prompts) - claimed):
        raise InvalidSuite(f"no suite evaluates {', '.join(unclaimed)} of the release {manifest.id}")


def models_of(manifest: Manifest, prompts: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The fallback chain behind each endpoint of a suite; ``prompts`` by endpoint."""
    chains = chain_of(manifest, set(prompts.values())).prompts
    return {endpoint: chains[prompt] for endpoint, prompt in prompts.items()}


def unshippable(chain: Chain, baseline: Baseline, thresholds: Thresholds, label: str) -> Iterator[str]:
    """Reasons why a chain does not ship.

    A model has no threshold, was not evaluated as it would run, or is below its threshold.
    """
    for model in chain.models:
        wanted, pinned = thresholds.models.get(model), baseline.models.get(label, {}).get(model)
        if wanted is None:
            yield f"{model}: no threshold of its own"
        elif pinned is None:
            yield f"{model}: in a chain of {chain.release} and never evaluated as {label}; run `python -m evals chain --accept`"
        elif pinned.pins != chain.pins:
            yield f"{model}: evaluated with other prompts or articles than those of {chain.release}"
        elif pinned.passed / pinned.cases < wanted.least:
            yield f"{model}: {pinned.passed / pinned.cases:.1%} passed, at least {wanted.least:.0%} must. {wanted.metric}"


def cut_down(
    folder: Path,
    *,
    position: int | None = None,
    provider: str | None = None,
    patience: float = 1.0,
    release: str = "",
    directory: Path = RELEASES,
) -> Path:
    """Write a release, the newest unless ``release`` names one, into ``folder`` with each route cut down.

    A route keeps its target at ``position``, or that of ``provider``. If neither is given, the file stays as it is, byte by byte.

    ``patience`` multiplies its timeouts, for a model on a slow machine. Returns the folder. Raises InvalidSuite where a route
    would be left without a target.
    """
    path, manifest = chosen(release, directory)
    text = path.read_text(encoding="utf-8")
    for name, route in manifest.routes.items():
        kept = [target for target in route.targets if provider in (None, target.provider)]
        if not kept:
            raise InvalidSuite(f"route {name} of {manifest.id} has no target of {provider}")
        left = kept if position is None else [kept[min(position, len(kept) - 1)]]
        text = _with_targets(text, name, left) if len(left) < len(route.targets) else text
    if patience != 1:
        text = _TIMEOUT.sub(lambda found: f"{found[1]}{float(found[2]) * patience:.1f}", text)
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("prices", "indexes"):
        if (directory / part).is_dir():
            shutil.copytree(directory / part, folder / part, dirs_exist_ok=True)
    (folder / path.name).write_text(text, encoding="utf-8")
    if tomllib.loads(text)["id"] != manifest.id:
        raise InvalidSuite(f"{path} could not be cut down")
    return folder


def pinned_models(
    chain: Chain, position: int, results: Sequence[Result], prompts: Mapping[str, str], today: date
) -> dict[str, PinnedModel]:
    """Results of the models at ``position``, each on the cases of the prompts that it answers.

    ``prompts`` by endpoint. Raises InvalidSuite where another provider answered: then it is not known whose score this is.
    """
    own: dict[str, list[Result]] = {}
    for result in results:
        model = chain.at(position, prompts[result.case.endpoint])
        if result.trail.provider not in (model.partition("/")[0], ""):
            raise InvalidSuite(f"{result.case.id}: answered by {result.trail.provider}, not by {model}")
        own.setdefault(model, []).append(result)
    return {
        model: PinnedModel(accepted=today, pins=chain.pins, passed=sum(r.passed for r in found), cases=len(found))
        for model, found in sorted(own.items())
    }


def _with_targets(text: str, route: str, targets: list[TargetPin]) -> str:
    """The manifest's text with other targets in one route.

    All else stays as it was, hashes included.
    """
    shown = ", ".join(f'{{ provider = "{target.provider}", model = "{target.model}" }}' for target in targets)
    for head in (f"[routes.{route}]", f'[routes."{route}"]'):
        before, found, after = text.partition(head)
        if found:
            start = after.index("targets")
            end = after.index("\n]", start) + 2 if "\n" in after[start : after.index("]", start)] else after.index("]", start) + 1
            return before + found + after[:start] + f"targets = [{shown}]" + after[end:]
    raise InvalidSuite(f"route {route} is not written as a table of its own")
