"""Released files never change: CI compares their hashes (CONTRIBUTING.md, B1)."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

from app.domain.errors import Misconfigured
from app.features.installed import installed
from app.releases.manifest import parse
from app.releases.recorded import LIST, problems, record, sources_path
from app.stack.fitting import fitting

RELEASES = ROOT / "releases"
LINE = re.compile(r"^\+([0-9a-f]{64})  (\S+)$", re.MULTILINE)


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RELEASES, tmp_path / "releases"))


def test_no_released_file_changed_and_every_one_is_recorded() -> None:
    assert problems(RELEASES) == []


def test_a_recorded_hash_was_never_replaced_by_another() -> None:
    """Checked as far as the local history goes: a shallow clone has less of it, and a copy without git has none."""
    command = ["git", "log", "--format=", "--patch", "--", f"releases/{LIST}"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    seen: dict[str, set[str]] = {}
    for digest, name in LINE.findall(run.stdout) if run.returncode == 0 else []:
        seen.setdefault(name, set()).add(digest)
    assert {name: digests for name, digests in seen.items() if len(digests) > 1 and (RELEASES / name).exists()} == {}


@pytest.mark.parametrize("name", ["2026-11-22.toml", "prices/2026-11-01.toml"])
def test_an_edited_release_is_found_and_cannot_be_recorded_again(releases: Path, name: str) -> None:
    with (releases / name).open("a") as file:
        file.write("# a harmless remark\n")
    assert problems(releases) == [f"{releases / name} changed after its release: restore it, and make the change in a new file."]
    with pytest.raises(Misconfigured, match="changed after its release"):
        record(releases, {})


def test_a_removed_release_is_found(releases: Path) -> None:
    (releases / "2026-11-01.toml").unlink()
    assert "does not exist" in problems(releases)[0]


def test_a_new_release_is_recorded_once_and_then_checked(releases: Path) -> None:
    fresh = releases / "2027-01-01.toml"
    fresh.write_text((releases / "2026-11-22.toml").read_text().replace("2026-11-22", "2027-01-01"))
    assert "is not recorded" in problems(releases)[0]
    assert record(releases, {}) == ["2027-01-01.toml"]
    assert record(releases, {}) == []
    assert problems(releases) == []


def test_a_draft_whose_prices_are_not_pinned_is_not_recorded(releases: Path) -> None:
    fresh = releases / "2027-01-01.toml"
    fresh.write_text(re.sub(r'sha256 = "[0-9a-f]{64}"', f'sha256 = "{"0" * 64}"', (releases / "2026-11-22.toml").read_text()))
    with pytest.raises(Misconfigured, match="release pin 2027-01-01"):
        record(releases, {})


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="coreutils")
def test_the_list_is_checked_by_sha256sum_too() -> None:
    assert subprocess.run(["sha256sum", "--check", "--quiet", LIST], cwd=RELEASES, check=False).returncode == 0


def test_a_release_of_an_index_is_recorded_with_the_indexes_sources(releases: Path) -> None:
    """An article that is edited later must not take from a fresh installation what this release answers from."""
    fresh = releases / "2027-01-01.toml"
    text = (releases / "0-start.toml").read_text().replace('"0-start"', '"2027-01-01"')
    fresh.write_text(text.replace("[routes.smart]", '[indexes]\nkb = "kb-1"\n\n[routes.smart]'))
    with pytest.raises(Misconfigured, match="pins kb-1 of kb, whose sources are not in"):
        record(releases, {"kb-2": lambda: "[]"})
    assert record(releases, {"kb-1": lambda: "[]"}) == ["2027-01-01.toml", "indexes/kb-1.json"]
    assert record(releases, {"kb-2": lambda: "[]"}) == []
    (releases / "indexes" / "kb-1.json").write_text("[1]")
    assert "kb-1.json changed after its release" in problems(releases)[0]


@pytest.mark.parametrize("release_id", fitting(RELEASES))
def test_the_index_of_every_release_can_be_built_from_its_sources(release_id: str, tmp_path: Path) -> None:
    indexes = {index.name: index for feature in installed() for index in feature.indexes}
    for name, version in parse((RELEASES / f"{release_id}.toml").read_text(), release_id).indexes.items():
        built = indexes[name].build(tmp_path, sources_path(RELEASES, version).read_text())
        assert (built.version, indexes[name].version_in(built.path)) == (version, version)
