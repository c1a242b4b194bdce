"""A SMALL PRODUCT: contact facts from a message. Copy it for your own: see `docs/your-own-feature.md`."""

from typing import TYPE_CHECKING

from app.features.feature import Feature, FeatureParts, Sample

if TYPE_CHECKING:
    from fastapi import APIRouter

    from app.simulator.rules import Rules

MESSAGE = "Hello, I am Ada Byron of Engine Works. Please send me a quote for two looms. ada@engine.example, +44 20 7946 0958"


def _router(parts: FeatureParts) -> "APIRouter":
    from app.features.extract.endpoints import router

    return router(parts)


def _simulated() -> "Rules":
    from app.features.extract.simulated import RULES

    return RULES


FEATURE = Feature(
    name="extract",
    example=True,
    router=_router,
    samples=(Sample("facts of a message", "/v1/extract", {"text": MESSAGE}, shown=True, words=("request",)),),
    simulated=_simulated,
    suite="extract",
)
