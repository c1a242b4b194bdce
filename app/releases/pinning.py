"""Filling in a draft's hashes, so that an author writes versions and never copies a hash by hand.

Only for a release that was never live: what was live is immutable, and `Releases.activate` holds that by the stored hash.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.domain.errors import Misconfigured
from app.releases.manifest import Places, sha256_of
from app.releases.texts import table_of

_TABLE = re.compile(r"^\s*\[(?P<name>[^\[\]]+)\]\s*(#.*)?$")
_VALUE = re.compile(r'^(?P<key>\s*[A-Za-z0-9_-]+\s*=\s*)"[^"]*"')


def pinned(text: str, places: Places, indexes: Mapping[str, str], *, where: str) -> str:
    """Return a manifest's text with every hash and index version as the files are now; comments and layout stay.

    ``indexes`` gives the version of each index that could be built. Raises Misconfigured for a file that is not there.
    """
    draft = table_of(text, where)
    values = {**_hashes(draft, places, where), **{("indexes", name): version for name, version in indexes.items()}}
    lines, table = [], ""
    for line in text.splitlines(keepends=True):
        header, value = _TABLE.match(line), _VALUE.match(line)
        if header:
            table = header["name"].strip()
        new = values.get((table, value["key"].split("=")[0].strip())) if value else None
        lines.append(f'{value["key"]}"{new}"{line[value.end() :]}' if value and new else line)
    return "".join(lines)


def _hashes(draft: Mapping[str, Any], places: Places, where: str) -> dict[tuple[str, str], str]:
    """``{(table as written, "sha256"): hash}``."""
    found: dict[tuple[str, str], str] = {}
    try:
        found["prices", "sha256"] = _hash(places.directory / draft["prices"]["file"], where)
        for name, pin in draft.get("prompts", {}).items():
            digest = _hash(places.prompt_path(name, pin["version"]), where)
            found[f'prompts."{name}"', "sha256"] = found[f"prompts.{name}", "sha256"] = digest
    except (KeyError, TypeError) as error:
        raise Misconfigured(f"{where}: {error} is missing: [prices] needs a file, each prompt a version.") from None
    return found


def _hash(path: Path, where: str) -> str:
    if not path.is_file():
        raise Misconfigured(f"{where} pins {path}, which does not exist.")
    return sha256_of(path)
