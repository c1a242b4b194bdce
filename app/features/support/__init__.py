"""THE WORKED EXAMPLE: customer support for a shop. A fork deletes this folder and its line in `installed`."""

from pathlib import Path
from typing import TYPE_CHECKING

from app.features.feature import BuiltIndex, Feature, FeatureParts, Index, InjectionDrill, Sample, Tables

if TYPE_CHECKING:
    from fastapi import APIRouter
    from sqlalchemy.ext.asyncio import AsyncEngine

    from app.simulator.rules import Rules

ANSWER, TICKETS = "/v1/support/answer", "/v1/support/tickets"
TORN = "My tent from order NW-10001 arrived torn, I want my money back now!"
GREETING = [{"role": "customer", "text": "Hi."}]
SAID = ("answer", "handover.reason")

SAMPLES = (
    Sample(
        "answer from an article", ANSWER, {"question": "How long does standard shipping take?", "user": "ada"},
        shown=True, words=SAID,
    ),
    Sample("answer with a tool", ANSWER, {"question": "Where is my order NW-10001?", "user": "ada"}, words=SAID),
    Sample("action to confirm", ANSWER, {"question": "Please cancel my order NW-10003.", "user": "ada"}, words=SAID),
    Sample(
        "answer, streamed", ANSWER,
        {"question": "How do I return boots?", "user": "grace", "stream": True, "conversation": GREETING},
    ),
    Sample("handed over", ANSWER, {"question": "Which horse will win the derby on Sunday?", "user": "grace"}, words=SAID),
    Sample("ticket", TICKETS, {"text": TORN, "user": "ada"}, shown=True, words=("summary",)),
)  # fmt: skip


def _router(parts: FeatureParts) -> "APIRouter":
    from app.features.support.actions import Actions
    from app.features.support.endpoints import router
    from app.features.support.support import Support

    actions = Actions(parts.engine, parts.kept, secret=parts.secret)
    return router(Support(parts.gateway, parts.engine, parts.index_dir, parts.kept, parts.tracing, parts.guard, actions))


def _tables() -> Tables:
    from app.features.support import tables

    return tables


def _version() -> str:
    from app.features.support import indexing

    return indexing.version_of(indexing.read_articles(indexing.ARTICLES))


def _build(directory: Path, sources: str | None = None) -> BuiltIndex:
    from app.features.support import indexing

    built = indexing.build_from(directory, indexing.read_sources(sources)) if sources else indexing.build(directory)
    return BuiltIndex(built.version, built.path, f"{built.articles} articles", built.fresh)


def _sources() -> str:
    from app.features.support import indexing

    return indexing.sources_of(indexing.read_articles(indexing.ARTICLES))


def _version_in(path: Path) -> str:
    from app.features.support import indexing

    return indexing.version_in(path)


def _less(sources: str) -> str:
    from app.features.support import indexing

    return indexing.sources_of(indexing.read_sources(sources)[:-1])


def _search(path: Path, question: str, limit: int) -> list[str]:
    from app.features.support.retrieval import Retriever

    return [passage.article_id for passage in Retriever(path).search(question, limit)]


async def _seed(engine: "AsyncEngine", tenant: str) -> str:
    from app.features.support.seeds import seed

    return f"{await seed(engine, tenant)} sample orders"


def _simulated() -> "Rules":
    from app.features.support.simulated import RULES

    return RULES


def _drill() -> InjectionDrill:
    from app.features.support import drill

    return drill


FEATURE = Feature(
    name="support",
    example=True,
    router=_router,
    tables=_tables,
    migrations=Path(__file__).resolve().parent / "migrations",
    indexes=(Index("support-kb", _version, _build, _sources, _version_in, _less, _search),),
    seed=_seed,
    samples=SAMPLES,
    link_hosts=frozenset({"northwind.example"}),
    simulated=_simulated,
    drill=_drill,
    suite="support",
)  # fmt: skip
