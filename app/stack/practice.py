"""A release for a rehearsal: as the live one, but every kind of pin differs, so that each of them can be set back (B5).

The changes are small and real: a prompt, a price table and an index with other content under other hashes, a route that asks its
models in another order. The files lie in a folder of the rehearsal's own; workers take them from Postgres, as they take those of
any release.
"""

import hashlib
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from app.features.installed import installed
from app.settings import Settings

VERSION = "rehearsal"


@dataclass(frozen=True, slots=True)
class Practice:
    """The release that was written. ``options``: by kind of pin, how `octant rollback` sets it back; None: it has no such pin."""

    id: str
    alias: str
    options: Mapping[str, tuple[str, ...] | None]

    def environment(self, folder: Path) -> dict[str, str]:
        """The variables with which a command finds its files."""
        return {"OCTANT_RELEASES_DIR": str(folder / "releases"), "OCTANT_PROMPTS_DIR": str(folder / "features")}


def write(live: str, settings: Settings, folder: Path, *, stamp: str) -> Practice:
    """Write a release that differs from the live manifest's text in every kind of pin. ``stamp`` makes its id its own."""
    shutil.copytree(settings.releases_dir, folder / "releases")
    for found in settings.prompts_dir.glob("*/prompts"):
        shutil.copytree(found, folder / "features" / found.parent.name / "prompts")
    document = tomllib.loads(live)
    alias = next(iter(document["routes"]))
    _change_route(document["routes"][alias])
    _change_prices(document, folder)
    prompt = _change_prompt(document, folder)
    index = _change_index(document, settings)
    release = f"rehearsal-{stamp}"
    document |= {"id": release, "note": "A rehearsal: every pin differs.", "code": f"{document['code']}+rehearsal"}
    (folder / "releases" / f"{release}.toml").write_text(tomli_w.dumps(document), encoding="utf-8")
    options: dict[str, tuple[str, ...] | None] = {
        "prompt": ("--prompt", prompt) if prompt else None,
        "model": ("--model", alias),
        "index": ("--index",) if index else None,
        "prices": ("--prices",),
    }
    return Practice(release, alias, options)


def _change_route(route: dict[str, Any]) -> None:
    if len(route["targets"]) > 1:
        route["targets"].reverse()
    else:
        route["max_output_tokens"] -= 1


def _change_prices(document: dict[str, Any], folder: Path) -> None:
    name = f"prices/{VERSION}.toml"
    source = folder / "releases" / document["prices"]["file"]
    document["prices"] = {"file": name, "sha256": _written(folder / "releases" / name, source)}


def _change_prompt(document: dict[str, Any], folder: Path) -> str:
    """Pin another version of the first prompt. Returns its name, empty where the release has none."""
    name = next(iter(document.get("prompts", {})), "")
    if name:
        feature, _, short = name.partition("/")
        home = folder / "features" / feature / "prompts" / short
        pin = document["prompts"][name]
        pin["sha256"] = _written(home / f"{VERSION}.toml", home / f"{pin['version']}.toml")
        pin["version"] = VERSION
    return name


def _change_index(document: dict[str, Any], settings: Settings) -> str:
    """Pin an index with one document less. Returns its name, empty where no installed product can make one."""
    pinned = document.get("indexes", {})
    for index in (index for feature in installed() for index in feature.indexes if index.less and index.name in pinned):
        if index.less:
            pinned[index.name] = index.build(settings.index_dir, index.less(index.sources())).version
            return index.name
    return ""


def _written(path: Path, source: Path) -> str:
    """Write a copy with one comment more. Returns its hash."""
    text = source.read_text(encoding="utf-8") + "# of a rehearsal\n"
    path.write_text(text, encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()
