"""The aliases of embeddings in a manifest: their form, their routes, and what two targets need to stand in for each other."""

from collections.abc import Collection, Mapping
from typing import Annotated

from pydantic import Field

from app.domain.embeddings import VectorSpace
from app.domain.routes import Route, Target
from app.domain.strict import Strict

Alias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$")]  # no slash: prompts have one, so the two never collide


class EmbeddingTargetPin(Strict):
    """One model at one configured provider. ``space``: the model's own name, where this provider calls it otherwise."""

    provider: str
    model: str
    space: str | None = None


class EmbeddingsPin(Strict):
    """An alias of embeddings. Every target makes vectors of one space, so that one may stand in for another (ADR 0031).

    ``also``: further names, by which clients know the model. ``shortens`` and ``tokenizer`` as in
    `domain.embeddings.VectorSpace`. Times in seconds.
    """

    space: str = Field(min_length=1, max_length=128)
    dimensions: int = Field(ge=1, le=65_536)
    shortens: bool = False
    tokenizer: str | None = None
    targets: tuple[EmbeddingTargetPin, ...] = Field(min_length=1)
    attempts_per_target: int = Field(default=2, ge=1, le=5)
    connect_timeout: float = Field(default=2.0, gt=0)
    attempt_timeout: float = Field(default=30.0, gt=0)
    also: tuple[Alias, ...] = ()


def route(name: str, pin: EmbeddingsPin) -> Route:
    """The route of an alias."""
    return Route(
        name=name,
        targets=tuple(Target(t.provider, t.model) for t in pin.targets),
        max_output_tokens=1,  # vectors are no output tokens; every route has a limit
        attempts_per_target=pin.attempts_per_target,
        connect_timeout=pin.connect_timeout,
        first_token_timeout=pin.attempt_timeout,
        idle_timeout=pin.attempt_timeout,
        attempt_timeout=pin.attempt_timeout,
        space=VectorSpace(pin.space, pin.dimensions, pin.shortens, pin.tokenizer),
    )


def further(pins: Mapping[str, EmbeddingsPin]) -> dict[str, str]:
    """Further names, and the alias of each."""
    return {name: alias for alias, pin in pins.items() for name in pin.also}


def problems(pins: Mapping[str, EmbeddingsPin], without: Collection[str]) -> list[str]:
    """List aliases whose targets cannot stand in for each other, a sentence each.

    ``without``: providers that have no embeddings.
    """
    found = []
    for name, pin in pins.items():
        for target in pin.targets:
            where, space = f"embeddings.{name}: {target.provider}/{target.model}", target.space or target.model
            if space != pin.space:
                found.append(
                    f"{where} makes vectors of {space!r}, not of {pin.space!r}, and an index of both is worthless. Give it an"
                    f" alias of its own; if it is the same model under another name, set space = {pin.space!r} on the target."
                )
            if target.provider in without:
                found.append(f"{where}: this provider has no embeddings. Remove the target.")
    return found
