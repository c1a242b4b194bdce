"""The port for products: what a product provides, and the parts that it is given.

A product is a folder beside this file whose package has a `FEATURE`, and one line in `installed`. Only its endpoints are
required. Importing the package loads no framework, no database driver and no SDK, because `octant --help` imports it: import
those inside the functions that need them.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from fastapi import APIRouter
    from sqlalchemy import MetaData
    from sqlalchemy.ext.asyncio import AsyncEngine
    from typer import Typer

    from app.domain.personal import PersonalData
    from app.gateway.gateway import Gateway
    from app.security.guard.guard import Guard
    from app.security.guard.stored_text import KeptTexts
    from app.security.redaction.redactor import Redactor
    from app.simulator.rules import Rules
    from app.telemetry.spans import Tracing


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureParts:
    """Dependencies of a product. Models are reached through ``gateway`` alone."""

    gateway: "Gateway"
    engine: "AsyncEngine"
    guard: "Guard"
    kept: "KeptTexts"
    redactor: "Redactor"
    tracing: "Tracing"
    index_dir: Path
    secret: bytes


class Tables(Protocol):
    """A module with a product's tables, and which of their rows are about a user (`app.domain.personal`)."""

    __name__: str
    metadata: "MetaData"

    @property
    def PERSONAL(self) -> "Sequence[PersonalData]":  # noqa: N802 - a constant of the module
        """Rows about a user."""
        ...

    @property
    def NOT_PERSONAL(self) -> Mapping[str, str]:  # noqa: N802 - the same
        """Text columns without a user's data, each with the reason."""
        ...


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """An index that exists. ``content`` describes it in words. ``fresh``: it was built just now."""

    version: str
    path: Path
    content: str
    fresh: bool


class BuildIndex(Protocol):
    """Builds an index into a folder. Raises Misconfigured for content that is not in form."""

    def __call__(self, directory: Path, sources: str | None = None, /) -> BuiltIndex:
        """``sources``: of a released version; None: the content in the repository."""
        ...


@dataclass(frozen=True, slots=True)
class Index:
    """A retrieval index that releases pin by its ``name``; its version is a file name made from its content.

    ``version`` is the version of the content in the repository; ``build`` makes the file in a folder unless it exists, of that
    content or of released ``sources``: text that holds the content of one version. ``version_in`` reads a file, and raises
    Misconfigured where it is no index: a file is trusted for what it holds, not for its name. ``less`` takes one document out of
    sources: `octant rehearse` pins the index of these and goes back from it. ``search`` finds documents in a file: their ids, the
    best first; with it, a release may pin the index only if it finds the suite's labelled queries (`app.features.recall`).
    """

    name: str
    version: Callable[[], str]
    build: "BuildIndex"
    sources: Callable[[], str]
    version_in: Callable[[Path], str]
    less: Callable[[str], str] | None = None
    search: Callable[[Path, str, int], Sequence[str]] | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One request of the demo's traffic, and its expected status.

    ``tenant``: empty for the demo's own. ``shown``: the demo prints it as a command to copy. ``words``: the names of fields that
    may contain the answer's words; the first one present counts. A dot leads into an object.
    """

    title: str
    path: str
    body: Mapping[str, Any]
    tenant: str = ""
    status: int = 200
    shown: bool = False
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attack:
    """One injection and its way to the model. ``number`` distinguishes the attacks of a drill."""

    number: int
    vector: str
    text: str
    stream: bool = False


class InjectionDrill(Protocol):
    """A module that lets `octant drill injection` attack a product and count the harm.

    ``PATH`` is the endpoint, ``PROMPT`` its prompt. The prompt's text, its canary and the ``SECRETS`` must not leak. ``VECTORS``
    are the ways in; ``ATTACK`` is a text that does harm through each of them. An answer that contains one of the ``ATTEMPTS``,
    spaces left out, shows that the model tried.
    """

    PATH: str
    PROMPT: str
    VECTORS: tuple[str, ...]
    ATTACK: str
    SECRETS: tuple[str, ...]
    ATTEMPTS: tuple[str, ...]

    def build_indexes(self, folder: Path, attacks: Sequence[Attack]) -> Mapping[str, str]:
        """Build the product's indexes into ``folder/indexes`` with the attacks in them. Returns their versions by name."""
        ...

    async def plant(self, engine: "AsyncEngine", tenant: str, attacks: Sequence[Attack]) -> None:
        """Insert the attacks' data and their possible victims into the database."""
        ...

    def body(self, attack: Attack) -> dict[str, Any]:
        """The request."""
        ...

    def is_answer(self, text: str, *, stream: bool) -> bool:
        """Whether a response is a whole answer of the endpoint."""
        ...

    async def actions(self, engine: "AsyncEngine", tenant: str) -> list[str]:
        """The actions done without a user's confirmation, one a line."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A product. ``name`` is its folder's, and the first part of its prompts' names.

    ``migrations`` is the folder of its revisions, a branch of their own. ``seed`` inserts a tenant's sample data and returns a
    description of it; it may be repeated. ``commands`` become `octant NAME …`. ``link_hosts``: the hosts that links in answers
    may point to. ``simulated``: its rules for the simulator's answers. ``suite``: its folder under ``evals/suites``.
    ``example``: it came with this project, and no owner of a fork made it: the readiness review says so.
    """

    name: str
    router: Callable[[FeatureParts], "APIRouter"]
    tables: Callable[[], Tables] | None = None
    migrations: Path | None = None
    indexes: tuple[Index, ...] = ()
    seed: "Callable[[AsyncEngine, str], Awaitable[str]] | None" = None
    commands: "Callable[[], Typer] | None" = None
    samples: tuple[Sample, ...] = ()
    link_hosts: frozenset[str] = frozenset()
    simulated: "Callable[[], Rules] | None" = None
    drill: Callable[[], InjectionDrill] | None = None
    suite: str = ""
    example: bool = False
