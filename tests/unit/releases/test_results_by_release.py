"""Results of evals stand in the order of their releases, and a release without any is named."""

import json
from pathlib import Path

from conftest import ROOT

from app.releases import eval_history, eval_results
from app.releases.eval_gate import digest
from app.releases.manifest import Places

RELEASES = ROOT / "releases"
NEWEST = max(path.stem for path in (RELEASES / "evals").glob("*.json"))


def release(folder: Path, name: str, created: str, *, run: str = "") -> None:
    """A manifest, and a file with results of that run."""
    text = (RELEASES / f"{NEWEST}.toml").read_text().replace(f'id = "{NEWEST}"', f'id = "{name}"')
    before = next(line for line in text.splitlines() if line.startswith("created = "))
    (folder / f"{name}.toml").write_text(text.replace(before, f"created = {created}"))
    if run:
        (folder / "evals").mkdir(exist_ok=True)
        content = json.loads((RELEASES / "evals" / f"{NEWEST}.json").read_text()) | {"release": name}
        content["suites"] = [{**suite, "at": run} for suite in content["suites"][:1]]
        del content["sha256"]
        (folder / "evals" / f"{name}.json").write_text(json.dumps(content | {"sha256": digest(content)}))


def test_earlier_results_are_in_the_order_of_releases_and_not_of_runs(tmp_path: Path) -> None:
    release(tmp_path, "b", "2026-11-26", run="2026-11-26T23:48:24Z")
    release(tmp_path, "a", "2026-11-26", run="2026-11-26T23:59:17Z")
    release(tmp_path, "c", "2026-11-01", run="2026-11-27T00:05:14Z")
    found = eval_results.earlier(Places(directory=tmp_path, prompts=tmp_path, indexes=tmp_path, providers=frozenset()))
    assert [(name, f"{one.at:%H:%M}") for name, one in found] == [("c", "00:05"), ("a", "23:59"), ("b", "23:48")]


def test_a_release_without_results_is_named_and_one_without_prompts_needs_none(tmp_path: Path) -> None:
    release(tmp_path, "a", "2026-11-01")
    release(tmp_path, "b", "2026-11-26", run="2026-11-26T23:48:24Z")
    (tmp_path / "c.toml").write_text((RELEASES / "0-start.toml").read_text().replace('id = "0-start"', 'id = "c"'))
    assert eval_history.unrecorded(tmp_path) == ["a"]
