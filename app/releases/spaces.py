"""An alias of embeddings keeps its vector space for ever: vectors that clients have stored stay comparable (ADR 0031)."""

import tomllib
from collections.abc import Iterable
from typing import Any


def changed_spaces(text: str, earlier: Iterable[str]) -> list[str]:
    """List the aliases of a manifest that had other vectors in an ``earlier`` manifest, a sentence each."""
    now, before = _spaces(text), [_spaces(manifest) for manifest in earlier]
    return [
        f"embeddings.{alias}: it gave vectors of {_words(*known)}, and would give those of {_words(*space)}. Clients' indexes"
        " hold the earlier ones: give the new model an alias of its own."
        for alias, space in now.items()
        for known in sorted({spaces[alias] for spaces in before if spaces.get(alias, space) != space})
    ]


def _spaces(text: str) -> dict[str, tuple[str, int]]:
    """Space and dimensions by each name of an alias.

    Read leniently: a newer version of the service may have written the manifest.
    """
    sections: Any = tomllib.loads(text).get("embeddings", {})
    return {
        name: (str(pin.get("space")), int(pin.get("dimensions", 0)))
        for alias, pin in sections.items()
        for name in (alias, *pin.get("also", ()))
    }


def _words(space: str, dimensions: int) -> str:
    return f"{space!r} with {dimensions} dimensions"
