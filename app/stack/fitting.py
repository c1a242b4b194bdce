"""Finds the releases that can be live here: they pin prompts and indexes of installed products only."""

from pathlib import Path

from app.features.installed import installed
from app.releases.manifest import parse
from app.releases.texts import text_of


def fitting(releases: Path) -> list[str]:
    """The ids of the manifests in a folder that can be live here, in the order of their names.

    A manifest that pins a product's prompts or index fits only where that product is installed. Raises Misconfigured for one
    that cannot be read.
    """
    prompts = {feature.name for feature in installed()}
    indexes = {index.name for feature in installed() for index in feature.indexes}
    found = []
    for path in sorted(releases.glob("*.toml")):
        manifest = parse(text_of(path), str(path))
        if {name.partition("/")[0] for name in manifest.prompts} <= prompts and set(manifest.indexes) <= indexes:
            found.append(path.stem)
    return found
