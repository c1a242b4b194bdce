"""The recorded hashes of released files: a manifest or a price table in `releases/released.sha256` never changes again.

A manifest pins its prompts, prices and indexes by hash, so its own hash holds everything that it pins. The list has the form of
`sha256sum` and is checked by `sha256sum --check` in its folder too. `octant release record` adds to it; a test checks it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from app.domain.errors import Misconfigured
from app.releases.manifest import parse, sha256_of
from app.releases.texts import text_of

LIST = "released.sha256"
INDEXES = "indexes"  # the folder of released indexes' sources, each named by the version
HEAD = "# Released files. They never change: a change is a new file. Written by `octant release record`.\n"


def read(directory: Path) -> dict[str, str]:
    """Recorded hashes by file, relative to ``directory``. Raises Misconfigured for a line that is none."""
    path, found = directory / LIST, dict[str, str]()
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for number, line in enumerate(lines, 1):
        digest, gap, name = line.partition("  ")
        if line and not line.startswith("#"):
            if not gap or len(digest) != 64 or not name or found.get(name, digest) != digest:
                raise Misconfigured(f"{path}, line {number}: not a hash, two spaces and a file named once.")
            found[name] = digest
    return found


def problems(directory: Path) -> list[str]:
    """List released files that changed, are missing or are not recorded, a sentence each."""
    recorded = read(directory)
    there = {str(path.relative_to(directory)): path for path in _released(directory)}
    found = [
        f"{directory / name} is recorded as released and does not exist: restore it." for name in recorded.keys() - there.keys()
    ]
    for name, path in there.items():
        if name not in recorded:
            found.append(f"{path} is not recorded: `octant release record` does it, once it is final.")
        elif recorded[name] != sha256_of(path):
            found.append(f"{path} changed after its release: restore it, and make the change in a new file.")
    return sorted(found)


def sources_path(directory: Path, version: str) -> Path:
    """The file of a released index's sources."""
    return directory / INDEXES / f"{version}.json"


def record(directory: Path, indexes: Mapping[str, Callable[[], str]]) -> list[str]:
    """Record every manifest and price table that is not yet, with the sources of the indexes that they pin. Returns the names.

    ``indexes``: the sources of each index that can be built now, by version. Raises Misconfigured where a recorded file changed,
    a new manifest pins other prices than those that are there, or the sources of an index are neither there nor current.
    """
    _keep_sources(directory, indexes)
    recorded = read(directory)
    fresh: dict[str, str] = {}
    for path in _released(directory):
        name, digest = str(path.relative_to(directory)), sha256_of(path)
        if recorded.get(name, digest) != digest:
            raise Misconfigured(f"{path} changed after its release: restore it, and make the change in a new file.")
        if name not in recorded:
            fresh[name] = digest
    for name in fresh:
        if "/" not in name:
            _check_prices(directory, name)
    if fresh:
        lines = [f"{digest}  {name}" for name, digest in sorted({**recorded, **fresh}.items())]
        (directory / LIST).write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    return sorted(fresh)


def is_recorded(directory: Path, release_id: str) -> bool:
    """Whether a release is in the list."""
    return f"{release_id}.toml" in read(directory)


def _keep_sources(directory: Path, indexes: Mapping[str, Callable[[], str]]) -> None:
    for path in sorted(directory.glob("*.toml")):
        for name, version in parse(text_of(path), str(path)).indexes.items():
            kept = sources_path(directory, version)
            if kept.is_file():
                continue
            if version not in indexes:
                raise Misconfigured(
                    f"{path} pins {version} of {name}, whose sources are not in {kept.parent}/ and are not the current ones: "
                    f"`octant release pin {path.stem}` pins the current ones."
                )
            kept.parent.mkdir(exist_ok=True)
            kept.write_text(indexes[version](), encoding="utf-8")


def _check_prices(directory: Path, name: str) -> None:
    """Raise Misconfigured for a draft: a manifest whose pinned price table differs from the file."""
    path = directory / name
    pin = parse(text_of(path), str(path)).prices
    if not (directory / pin.file).is_file() or sha256_of(directory / pin.file) != pin.sha256:
        raise Misconfigured(f"{path} pins another {pin.file} than the one that is there: `octant release pin {path.stem}` first.")


def _released(directory: Path) -> list[Path]:
    return [
        *sorted(directory.glob("*.toml")),
        *sorted((directory / "prices").glob("*.toml")),
        *sorted((directory / INDEXES).glob("*.json")),
    ]
