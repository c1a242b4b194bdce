"""Read a release's TOML file, check it whole and turn it into domain types (B1, B3).

A manifest is refused whole: every pin that does not resolve is listed, with the file, the key and what to do.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from string import Template
from typing import Annotated, Any, Literal

from pydantic import Field

from app.domain.errors import Misconfigured, UnknownModel
from app.domain.messages import Sampling
from app.domain.routes import Degrade, GuardAction, Pin, Price, PriceTable, Prompt, Route, Target
from app.domain.strict import Strict
from app.releases import embeddings, provider_names
from app.releases.code_version import refuse_newer
from app.releases.embeddings import Alias, EmbeddingsPin
from app.releases.texts import parsed_as, text_of
from app.security.guard.guard import unknown_checks

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# Names and files become paths: no part of one is empty or begins with a dot, so none leads out of its folder.
NAME = re.compile(r"[a-z0-9][a-z0-9-]*([./][a-z0-9-]+)*")
MOST_NAME = 64
Name = Annotated[str, Field(pattern=rf"^{NAME.pattern}$", max_length=MOST_NAME)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+([./][A-Za-z0-9_-]+)*$", max_length=200)]
Ignorable = Literal["temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty", "thinking"]


class PricesPin(Strict):
    """``file`` is relative to the folder of releases."""

    file: FileName
    sha256: Sha256


class PromptPin(Strict):
    """One version of one prompt and the route that answers it. ``callable``: clients may call it, not only its product."""

    version: Name
    sha256: Sha256
    route: Name
    callable: bool = False


class TargetPin(Strict):
    """One model at one configured provider."""

    provider: str
    model: str


class DegradePin(Strict):
    """The steps a call may take down before it is refused for money, in this order."""

    truncate: bool = False
    shorten_to: int | None = Field(default=None, ge=1)
    cheaper: tuple[TargetPin, ...] = ()
    no_retries: bool = False


class RoutePin(Strict):
    """A model alias, and ``also`` further names of it: those that clients know models by. Times in seconds."""

    targets: tuple[TargetPin, ...] = Field(min_length=1)
    max_output_tokens: int = Field(ge=1, le=200_000)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    attempts_per_target: int = Field(default=2, ge=1, le=5)
    connect_timeout: float = Field(default=2.0, gt=0)
    first_token_timeout: float = Field(default=15.0, gt=0)
    idle_timeout: float = Field(default=10.0, gt=0)
    attempt_timeout: float = Field(default=60.0, gt=0)
    stream_timeout: float = Field(default=600.0, gt=0, le=3600)
    also: tuple[Alias, ...] = ()
    continue_streams: bool = False
    ignore: frozenset[Ignorable] = frozenset()
    degrade: DegradePin = DegradePin()
    guard: dict[str, GuardAction] = Field(default_factory=dict)


class Manifest(Strict):
    """The file as written. ``code`` is the version it was made for: older code does not make it live, newer code does."""

    id: Name
    created: date
    note: str
    code: str
    prices: PricesPin
    indexes: dict[str, FileName] = Field(default_factory=dict)
    prompts: dict[Name, PromptPin] = Field(default_factory=dict)
    routes: dict[Alias, RoutePin] = Field(min_length=1)
    embeddings: dict[Alias, EmbeddingsPin] = Field(default_factory=dict)


class _PromptFile(Strict):
    description: str
    tools: tuple[str, ...] = ()
    guard: dict[str, GuardAction] = Field(default_factory=dict)
    system: str
    user: str


class _PriceFile(Strict):
    class Tier(Strict):
        provider: str
        model: str
        input: int = Field(ge=0)
        output: int = Field(ge=0)
        cached_input: int = Field(ge=0)
        cache_write: int = Field(ge=0)
        cache_write_1h: int | None = Field(default=None, ge=0)
        from_input_tokens: int = Field(default=0, ge=0)
        image_tokens: int | None = Field(default=None, ge=1)

    version: str
    effective: date
    unit: str
    sources: tuple[str, ...] = Field(min_length=1)
    price: tuple[Tier, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A manifest with every pin resolved. Immutable: a call keeps the one it started with (B2).

    ``also``: further names of routes and of aliases of embeddings, and what each names.
    """

    id: str
    sha256: str
    text: str
    note: str
    code: str
    prompts: Mapping[str, Prompt]
    routes: Mapping[str, Route]
    also: Mapping[str, str]
    prices: PriceTable
    indexes: Mapping[str, str]
    embeddings: Mapping[str, Route] = field(default_factory=dict)

    @property
    def aliases(self) -> tuple[str, ...]:
        """The aliases of models and of embeddings."""
        return (*self.routes, *self.also, *self.embeddings)

    @property
    def all_routes(self) -> tuple[Route, ...]:
        """The routes of answers and of embeddings."""
        return (*self.routes.values(), *self.embeddings.values())

    @property
    def models(self) -> frozenset[str]:
        """The names of models that a stop knows: the aliases, and each target as PROVIDER/MODEL."""
        targets = (target for route in self.all_routes for target in (*route.targets, *route.degrade.cheaper))
        return frozenset((*self.aliases, *(f"{target.provider}/{target.model}" for target in targets)))

    @property
    def callable(self) -> tuple[str, ...]:
        """The names that clients may call: the aliases, and the prompts that the release opens to them."""
        return (*self.aliases, *(name for name, prompt in self.prompts.items() if prompt.callable))

    def pin(self, target: str) -> Pin:
        """Pin a call to this release: ``target`` is a model alias or a prompt. Raises UnknownModel."""
        prompt = self.prompts.get(target)
        name = prompt.route if prompt else self.also.get(target, target)
        route = self.routes.get(name) or self.embeddings.get(name)
        if route is None:
            raise UnknownModel(f"No model {target[:64]!r}. Known: {', '.join(self.callable)}.", param="model")
        return Pin(release=self.id, route=route, prices=self.prices, prompt=prompt, indexes=self.indexes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The places where pins are looked up. ``providers`` are those that the settings configure.

    ``without_embeddings``: those of them that have none. ``simulated``: those that the simulator stands in for.
    By an index's name, ``version_in`` reads the version in its file, and ``recall_problems`` searches it for labelled queries.
    """

    directory: Path
    prompts: Path
    indexes: Path
    providers: frozenset[str]
    without_embeddings: frozenset[str] = frozenset()
    version_in: Mapping[str, Callable[[Path], str]] = field(default_factory=dict)
    simulated: frozenset[str] = frozenset()
    recall_problems: Mapping[str, Callable[[Path], Sequence[str]]] = field(default_factory=dict)

    @property
    def prices(self) -> Path:
        """The folder of price tables."""
        return self.directory / "prices"

    def manifest_path(self, release_id: str) -> Path:
        """The file of a release."""
        return self.directory / f"{release_id}.toml"

    def prompt_path(self, name: str, version: str) -> Path:
        """The file of a prompt: ``support/answer`` ``v1`` is ``support/prompts/answer/v1.toml``."""
        feature, _, short = name.partition("/")
        return self.prompts / feature / "prompts" / short / f"{version}.toml"

    def index_path(self, version: str) -> Path:
        """The file of a built index."""
        return self.indexes / f"{version}.sqlite"

    def kept_path(self, sha256: str) -> Path:
        """The place of a prompt or price table that was fetched from Postgres (`app.releases.files`)."""
        return self.indexes / "kept" / sha256


def sha256_of(path: Path) -> str:
    """The hash that pins a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def parse(text: str, where: str) -> Manifest:
    """Read a manifest's text. Raises Misconfigured."""
    return parsed_as(Manifest, text, where)


def resolve(text: str, places: Places, *, where: str, indexes_elsewhere: bool = False) -> Release:
    """Check every pin of a manifest's text. Raises Misconfigured with one line for each that does not resolve.

    ``indexes_elsewhere``: index files need not be on this machine, because it will not serve them.
    """
    manifest = parse(text, where)
    problems: list[str] = []

    def attempt(resolve_one: Callable[[], Any]) -> Any:  # noqa: ANN401 - passes through what it is given
        try:
            return resolve_one()
        except Misconfigured as error:
            problems.append(str(error))
            return None

    prices = attempt(partial(_prices, manifest.prices, places))
    routes = {name: _route(name, pin) for name, pin in manifest.routes.items()}
    prompts = {name: attempt(partial(_prompt, name, pin, places)) for name, pin in manifest.prompts.items()}
    spaces = {name: embeddings.route(name, pin) for name, pin in manifest.embeddings.items()}
    problems += _dangling(manifest, [*routes.values(), *spaces.values()], prices, places)
    also = {n: a for a, pin in manifest.routes.items() for n in pin.also} | embeddings.further(manifest.embeddings)
    problems += embeddings.problems(manifest.embeddings, places.without_embeddings)
    if not indexes_elsewhere:
        problems += _wrong_indexes(manifest, places)
    if problems:
        raise Misconfigured(f"{where} cannot be live:\n  " + "\n  ".join(problems))
    return Release(
        id=manifest.id,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        text=text,
        note=manifest.note,
        code=manifest.code,
        prompts=prompts,
        routes=routes,
        also=also,
        prices=prices,
        indexes=manifest.indexes,
        embeddings=spaces,
    )


def load(release_id: str, places: Places) -> Release:
    """Read and check the manifest file of a release, also that this code is not too old for it. Raises Misconfigured."""
    path = places.manifest_path(release_id)
    if len(release_id) > MOST_NAME or not NAME.fullmatch(release_id) or not path.is_file():
        known = ", ".join(sorted(p.stem for p in places.directory.glob("*.toml"))) or "none"
        raise Misconfigured(f"No release {release_id[:MOST_NAME]!r} in {places.directory}/. Known: {known}.")
    text = text_of(path)
    refuse_newer(text, str(path))
    release = resolve(text, places, where=str(path))
    if release.id != release_id:
        raise Misconfigured(f"{path}: id = {release.id!r}, but the file is named {release_id!r}. Make the two agree.")
    return release


def _dangling(manifest: Manifest, routes: Sequence[Route], prices: PriceTable | None, places: Places) -> list[str]:
    """List references to missing files and names."""
    problems = [
        f'prompts."{name}".route = {pin.route!r}: no such route. Add [routes.{pin.route}] or change it.'
        for name, pin in manifest.prompts.items()
        if pin.route not in manifest.routes
    ]
    pins: tuple[RoutePin | EmbeddingsPin, ...] = (*manifest.routes.values(), *manifest.embeddings.values())
    names = [*manifest.routes, *manifest.embeddings, *(name for pin in pins for name in pin.also)]
    problems += [f"{n!r} names two aliases: give one another name." for n in sorted({n for n in names if names.count(n) > 1})]
    for route in routes:
        if unknown := unknown_checks(route.guard):
            problems.append(f"routes.{route.name}.guard: {unknown}")
        for target in (*route.targets, *route.degrade.cheaper):
            where = f"{'embeddings' if route.space else 'routes'}.{route.name}: {target.provider}/{target.model}"
            if target.provider not in places.providers:
                problems.append(f"{where}: provider not configured. {provider_names.advice(target.provider)}")
            if prices and (target.provider, target.model) not in prices.prices:
                problems.append(f"{where}: no price in {manifest.prices.file}. An unknown price is never free: add it.")
    return problems


def _wrong_indexes(manifest: Manifest, places: Places) -> list[str]:
    """List indexes that are not here, or whose file holds something else than its name says."""
    problems = []
    for name, version in manifest.indexes.items():
        path, read = places.index_path(version), places.version_in.get(name)
        if not path.is_file():
            problems.append(f"indexes.{name} = {version!r}: not built. Run `octant index build`; it prints the version to pin.")
        elif read and (problem := _differs(path, version, read)):
            problems.append(f"indexes.{name} = {version!r}: {problem}")
    return problems


def _differs(path: Path, version: str, read: Callable[[Path], str]) -> str:
    try:
        found = read(path)
    except Misconfigured as error:
        return str(error)
    return "" if found == version else f"{path} holds {found}. Remove it and run `octant index build`."


def _prices(pin: PricesPin, places: Places) -> PriceTable:
    path = places.directory / pin.file
    file = parsed_as(_PriceFile, _pinned_text(path, pin.sha256, "prices.sha256", places), str(path))
    found: dict[tuple[str, str], list[Price]] = {}
    for tier in file.price:
        price = Price(**tier.model_dump(exclude={"provider", "model"}))
        found.setdefault((tier.provider, tier.model), []).append(price)
    for key, tiers in found.items():
        if sum(t.from_input_tokens == 0 for t in tiers) != 1:
            raise Misconfigured(f"{path}: {'/'.join(key)} needs exactly one price that starts at zero input tokens.")
    ordered = {key: tuple(sorted(t, key=lambda p: p.from_input_tokens)) for key, t in found.items()}
    return PriceTable(version=file.version, prices=ordered, effective=file.effective)


def _prompt(name: str, pin: PromptPin, places: Places) -> Prompt:
    path = places.prompt_path(name, pin.version)
    file = parsed_as(_PromptFile, _pinned_text(path, pin.sha256, f'prompts."{name}".sha256', places), str(path))
    if unknown := unknown_checks(file.guard):
        raise Misconfigured(f"{path}: guard: {unknown}")
    for part in ("system", "user"):
        if not Template(getattr(file, part)).is_valid():
            raise Misconfigured(f"{path}: {part} is not a template: a $ that begins no $name. Write $$ for a dollar sign.")
    return Prompt(
        name=name, version=pin.version, sha256=pin.sha256, system=file.system, user=file.user, route=pin.route,
        tools=file.tools, guard=file.guard, callable=pin.callable,
    )  # fmt: skip


def _route(name: str, pin: RoutePin) -> Route:
    return Route(
        name=name,
        targets=tuple(Target(t.provider, t.model) for t in pin.targets),
        max_output_tokens=pin.max_output_tokens, attempts_per_target=pin.attempts_per_target,
        sampling=Sampling(temperature=pin.temperature, top_p=pin.top_p),
        connect_timeout=pin.connect_timeout, first_token_timeout=pin.first_token_timeout, idle_timeout=pin.idle_timeout,
        attempt_timeout=pin.attempt_timeout, stream_timeout=pin.stream_timeout,
        continue_streams=pin.continue_streams, ignore=frozenset(pin.ignore),
        degrade=Degrade(
            truncate=pin.degrade.truncate,
            shorten_to=pin.degrade.shorten_to,
            cheaper=tuple(Target(t.provider, t.model) for t in pin.degrade.cheaper),
            no_retries=pin.degrade.no_retries,
        ),
        guard=pin.guard,
    )  # fmt: skip


def _pinned_text(path: Path, expected: str, key: str, places: Places) -> str:
    """Read a file once and give its text if it is the one that was pinned, else the kept copy's. Raises Misconfigured."""
    kept = places.kept_path(expected)
    if kept.is_file() and sha256_of(kept) == expected:
        path = kept
    try:
        text = (content := path.read_bytes()).decode()
    except FileNotFoundError:
        raise Misconfigured(f"{key}: {path} does not exist. Restore it, or pin a version that does.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{key}: {path} is not readable: {error}.") from None
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected:
        raise Misconfigured(
            f"{key} = {expected[:12]}…, but {path} has {actual[:12]}…. Pinned files do not change: "
            "restore it, or make a new version and a new release (`octant release pin ID` fills its hashes in)."
        )
    return text
