"""The pins of a release, for the gateway: prompts, routes, prices. Loaded and checked by `app.releases`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from string import Template
from typing import Literal, NamedTuple

from app.domain.embeddings import VectorSpace
from app.domain.messages import Sampling

GuardAction = Literal["off", "log", "flag", "block"]


@dataclass(frozen=True, slots=True)
class Price:
    """Micro-dollars per million tokens (so 3 USD per million is 3_000_000), for inputs of ``from_input_tokens`` and more.

    ``cache_write`` is for five minutes. ``cache_write_1h`` is for an hour; where a table does not say, twice the input's price.
    ``image_tokens``: the most that one image counts as; where a table does not say, as `app.budget.pricing` knows of the vendors.
    """

    input: int
    output: int
    cached_input: int
    cache_write: int
    from_input_tokens: int = 0
    cache_write_1h: int | None = None
    image_tokens: int | None = None

    @property
    def hour_write(self) -> int:
        """The price of input that is cached for an hour: Anthropic's is twice the input's, and no vendor's is higher."""
        return max(2 * self.input, self.cache_write) if self.cache_write_1h is None else self.cache_write_1h


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices by ``(provider, model)``, each a tuple of tiers in rising order of ``from_input_tokens``.

    ``effective``: the day (UTC) from which on vendors bill so.
    """

    version: str
    prices: Mapping[tuple[str, str], tuple[Price, ...]]
    effective: date = date.min


class Target(NamedTuple):
    """One model at one provider, in a route's order of preference. A tuple: a call looks one up some twenty times."""

    provider: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Degrade:
    """Degradations of a call before it is refused for money; none, unless the manifest lists them."""

    truncate: bool = False
    shorten_to: int | None = None
    cheaper: tuple[Target, ...] = ()
    no_retries: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A model alias: which models answer it, in which order, with which parameters. Times in seconds.

    ``attempt_timeout`` bounds a whole answer, and a stream up to its first token. A stream that flows may take ``stream_timeout``
    from the call's begin; only silence (``idle_timeout``) ends it earlier.
    ``ignore`` names parameters whose loss the operator accepts: a target that cannot do one drops it, and the answer says so.
    ``continue_streams``: a stream that breaks in the middle is continued by the next model, instead of ending in an error.
    ``guard``: what a failed check does, where the alias is called by itself; of a prompt, the prompt says.
    ``space``: the alias gives embeddings, and every target makes vectors of this space; None: it gives answers.
    """

    name: str
    targets: tuple[Target, ...]
    max_output_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    attempts_per_target: int = 2
    connect_timeout: float = 2.0
    first_token_timeout: float = 15.0
    idle_timeout: float = 10.0
    attempt_timeout: float = 60.0
    stream_timeout: float = 600.0
    continue_streams: bool = False
    ignore: frozenset[str] = frozenset()
    degrade: Degrade = Degrade()
    guard: Mapping[str, GuardAction] = field(default_factory=dict)
    space: VectorSpace | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One version of a prompt. Templates are `string.Template` (``$name``): they can insert, never execute.

    ``callable``: clients may call it; otherwise only its own product does.
    """

    name: str
    version: str
    sha256: str
    system: str
    user: str
    route: str
    tools: tuple[str, ...] = ()
    guard: Mapping[str, GuardAction] = field(default_factory=dict)
    callable: bool = False

    @property
    def product(self) -> str:
        """The product whose prompt it is: the first part of its name."""
        return self.name.partition("/")[0]

    @property
    def variables(self) -> frozenset[str]:
        """The names that its templates insert."""
        return frozenset(name for text in (self.system, self.user) for name in Template(text).get_identifiers())


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """All that one call keeps from its first step to its last, whatever is activated meanwhile."""

    release: str
    route: Route
    prices: PriceTable
    prompt: Prompt | None = None
    indexes: Mapping[str, str] = field(default_factory=dict)
