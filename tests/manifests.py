"""Releases of one route, written into a folder for a test."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.releases.eval_gate import ModelScore, Score, SuiteResult, digest
from app.releases.eval_results import path_of
from app.releases.manifest import parse

PRICES = """
version = "p1"
effective = 2026-11-01
unit = "micro-USD per million tokens"
sources = ["made up"]
price = [{ provider = "openai", model = "m", input = 2, output = 4, cached_input = 1, cache_write = 3 }]
"""


def write(folder: Path, release_id: str, extra: str = "") -> None:
    """Write a manifest with these further lines."""
    (folder / f"{release_id}.toml").write_text(f"""
id = "{release_id}"
created = 2026-11-01
note = "n"
code = "0.1.0"
prices = {{ file = "prices/p1.toml", sha256 = "{hashlib.sha256(PRICES.encode()).hexdigest()}" }}
{extra}
[routes.smart]
targets = [{{ provider = "openai", model = "m" }}]
max_output_tokens = 10
""")


def results_of(folder: Path, release_id: str, **changes: Any) -> SuiteResult:  # noqa: ANN401 - fields of a result
    """Eval results of a manifest, made up: every model of every prompt's chain passed nine of ten cases."""
    manifest = parse((folder / f"{release_id}.toml").read_text(), release_id)
    models = [
        ModelScore(prompt=name, model=f"{target.provider}/{target.model}", passed=9, total=10, least=0.8)
        for name, pin in manifest.prompts.items()
        for target in manifest.routes[pin.route].targets
    ]
    values: dict[str, Any] = {
        "suite": "made-up",
        "label": "real models",
        "simulated": (),
        "at": datetime(2026, 11, 1, tzinfo=UTC),
        "scores": {"overall": Score(passed=9, total=10, least=0.8)},
        "models": tuple(models),
        "cases": "0",
    }
    return SuiteResult(**(values | changes))


def prove(folder: Path, release_id: str, **changes: Any) -> Path:  # noqa: ANN401 - fields of a result
    """Write the file of a manifest's eval results."""
    sha256 = hashlib.sha256((folder / f"{release_id}.toml").read_bytes()).hexdigest()
    suites = [results_of(folder, release_id, **changes).model_dump(mode="json")]
    content = {"release": release_id, "manifest": sha256, "suites": suites}
    path = path_of(folder, release_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**content, "sha256": digest(content)}))
    return path
