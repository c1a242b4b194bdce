"""A rollback of one pin: a new manifest made from the live one, with that pin as it was in an earlier release (B2). Pure.

The live manifest is not edited, so the record of what was live stays whole. The new one needs no file: its text is in Postgres.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import tomli_w

from app.domain.errors import Misconfigured
from app.releases.manifest import Manifest, parse

Kind = Literal["prompt", "model", "index", "prices", "code"]
_SUFFIX = ".back-"
_LONGEST_ID = 64


@dataclass(frozen=True, slots=True)
class Pinned:
    """What is set back: one prompt or one model alias by its ``name``, or all indexes, the prices, the code."""

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        """As an operator says it: `prompt support/answer`."""
        return f"{self.kind} {self.name}".rstrip()

    def of(self, manifest: Manifest) -> Any:  # noqa: ANN401 - a pin of any kind
        """Return this pin in a manifest; None where it has none."""
        match self.kind:
            case "prompt":
                return manifest.prompts.get(self.name)
            case "model":
                return manifest.routes.get(self.name)
            case "index":
                return manifest.indexes
            case "prices":
                return manifest.prices
            case "code":
                return manifest.code


def earlier(pinned: Pinned, live: Manifest, path: Iterable[Manifest]) -> Manifest:
    """The newest manifest of ``path`` (newest first) in which the pin differs from the live one. Raises Misconfigured."""
    now = pinned.of(live)
    if now is None:
        known = live.prompts if pinned.kind == "prompt" else live.routes
        raise Misconfigured(f"The live release {live.id} pins no {pinned}. Known: {', '.join(known)}.")
    for manifest in path:
        before = pinned.of(manifest)
        if before is not None and before != now:
            return manifest
    raise Misconfigured(f"The {pinned} was the same in every release that was live before {live.id}. Name one with --to.")


def set_back(pinned: Pinned, live: Manifest, source: Manifest, *, taken: Iterable[str], today: date, reason: str) -> str:
    """The text of a manifest like ``live``, but with the pin as in ``source``. ``taken``: ids that exist.

    Raises Misconfigured where the source has no such pin, or pins the same.
    """
    before = pinned.of(source)
    if before is None:
        raise Misconfigured(f"Release {source.id} pins no {pinned}: name another with --to.")
    if before == pinned.of(live):
        raise Misconfigured(f"The {pinned} is the same in {source.id} and in the live release {live.id}: nothing would change.")
    document = live.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    _put(document, pinned, source.model_dump(mode="json", exclude_none=True, exclude_defaults=True))
    document |= {
        "id": _free_id(live.id, frozenset(taken)),
        "created": today,
        "note": f"{live.id} with the {pinned} of {source.id}: {reason}",
    }
    text = tomli_w.dumps(document)
    parse(text, f"the manifest made from {live.id}")
    return text


def _put(document: dict[str, Any], pinned: Pinned, source: Mapping[str, Any]) -> None:
    match pinned.kind:
        case "prompt":
            document["prompts"][pinned.name] = source["prompts"][pinned.name]
        case "model":
            document["routes"][pinned.name] = source["routes"][pinned.name]
        case "index":
            document["indexes"] = source.get("indexes", {})
        case "prices" | "code":
            document[pinned.kind] = source[pinned.kind]


def _free_id(live: str, taken: frozenset[str]) -> str:
    stem = live.partition(_SUFFIX)[0][: _LONGEST_ID - len(_SUFFIX) - 4]
    numbers = (number for number in range(1, len(taken) + 2) if f"{stem}{_SUFFIX}{number}" not in taken)
    return f"{stem}{_SUFFIX}{next(numbers)}"
