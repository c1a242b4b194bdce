"""Files of others: as they were published, small, and all the page needs."""

import gzip
import hashlib
import re
import tomllib

from app.console.assets import FOLDER, asset

VENDORED = tomllib.loads((FOLDER / "vendor" / "vendored.toml").read_text())["file"]
MOST_SCRIPT = 60_000  # bytes of a page's scripts together, as they are sent


def test_vendored_files_are_those_that_were_published() -> None:
    found = {path.name for path in (FOLDER / "vendor").iterdir() if path.suffix in (".js", ".css", ".woff2")}
    assert found == {one["name"] for one in VENDORED}
    for one in VENDORED:
        assert hashlib.sha256((FOLDER / "vendor" / one["name"]).read_bytes()).hexdigest() == one["sha256"], one["name"]


def test_each_package_comes_with_its_licence() -> None:
    for one in VENDORED:
        assert (FOLDER / "vendor" / f"{one['package'].rpartition('/')[2]}.LICENSE").read_text()


def test_all_scripts_together_are_small() -> None:
    assert sum(len(gzip.compress(path.read_bytes(), 9)) for path in FOLDER.rglob("*.js")) <= MOST_SCRIPT


def test_no_style_or_script_names_another_host_or_evaluates_text() -> None:
    for path in FOLDER.rglob("*"):
        if path.suffix in (".css", ".js") and path.parent.name != "vendor":
            text = path.read_text()
            assert not re.search(r"https?://(?!www\.w3\.org)|\beval\(|new Function|innerHTML|\.style\b", text), path.name


def test_a_style_names_fonts_by_their_content() -> None:
    assert asset("console.css").startswith("/console/static/")
    assert len({asset(f"vendor/{one['name']}") for one in VENDORED}) == len(VENDORED)
