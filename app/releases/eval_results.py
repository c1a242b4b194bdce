"""Eval results of manifests, from the file beside a manifest and from Postgres.

The file, `releases/evals/ID.json`, is written by `python -m evals release ID --accept` and goes into git with its release: so a
fresh clone has the results of the releases that it brings. A file that was edited does not fit the hash in it and counts for
nothing.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import Misconfigured
from app.releases import eval_gate
from app.releases.eval_gate import ResultFile, SuiteResult, digest
from app.releases.evaluations import eval_runs
from app.releases.manifest import Places, parse

Findings = Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]]


def path_of(directory: Path, release_id: str) -> Path:
    """The file of a release's results in the folder of releases."""
    return directory / "evals" / f"{release_id}.json"


def recorded(directory: Path) -> bool:
    """Whether a folder of releases has eval results at all. A run of evals starts from one without: it makes them."""
    return (directory / "evals").is_dir()


def from_file(places: Places, release_id: str, sha256: str) -> tuple[Sequence[SuiteResult], list[str]]:
    """The results in a release's file, and why none of them count, a sentence each."""
    path = path_of(places.directory, release_id)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return (), []
    except OSError as error:
        return (), [f"{path} is not readable: {error}."]
    try:
        found = ResultFile.model_validate_json(content)
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors(include_url=False))
        return (), [f"{path}: {problem}." for problem in wrong]
    if found.sha256 != digest(json.loads(content)):
        return (), [f"{path} was changed after it was written: its content does not fit the sha256 in it. Run the suites again."]
    if (found.release, found.manifest) != (release_id, sha256):
        return (), [
            f"{path} is of another manifest ({found.release}, sha256 {found.manifest[:12]}…): this one has changed since."
        ]
    return found.suites, []


async def from_postgres(connection: AsyncConnection, sha256: str) -> Sequence[SuiteResult]:
    """The stored results of a manifest. Raises SQLAlchemyError or OSError."""
    statement = select(eval_runs.c.result).where(eval_runs.c.manifest == sha256, eval_runs.c.result.is_not(None))
    return [SuiteResult.model_validate_json(json.dumps(row.result)) for row in await connection.execute(statement)]


async def lacking(connection: AsyncConnection, text: str, places: Places) -> list[str]:
    """What a manifest lacks to be live here, a sentence each. Raises SQLAlchemyError or OSError."""
    return list((await proof(connection, text, places)).lacking)


@dataclass(frozen=True, slots=True)
class Proof:
    """Eval results of a manifest, in any order, and what it lacks to be live here, a sentence each.

    ``earlier``: results of all files beside manifests, this one's included, each with its release, in the order of releases.
    ``findings``: of the cases that failed, as the file beside the manifest has them: by label, suite and case.
    """

    release: str
    results: Sequence[SuiteResult]
    lacking: Sequence[str]
    earlier: Sequence[tuple[str, SuiteResult]] = ()
    findings: Findings = field(default_factory=dict)


async def proof(connection: AsyncConnection, text: str, places: Places) -> Proof:
    """Run the gate on a manifest. Raises SQLAlchemyError or OSError."""
    manifest, sha256 = parse(text, "the manifest"), hashlib.sha256(text.encode()).hexdigest()
    if not manifest.prompts:
        return Proof(manifest.id, (), ())
    found, wrong = from_file(places, manifest.id, sha256)
    stored = await from_postgres(connection, sha256)
    missing = eval_gate.lacking(manifest, [*found, *stored], simulated=places.simulated)
    findings = _findings(places, manifest.id) if found else {}
    return Proof(manifest.id, [*found, *stored], [*missing, *wrong] if missing else [], findings=findings)


def _findings(places: Places, release_id: str) -> Findings:
    """Those of a file whose results count."""
    return ResultFile.model_validate_json(path_of(places.directory, release_id).read_bytes()).findings


def earlier(places: Places) -> list[tuple[str, SuiteResult]]:
    """The results of every file that is as it was written and whose manifest is there, each with its release, in their order.

    Not in that of their runs: after a change of a suite the newest release is often run first.
    """
    found: list[tuple[date, str, Sequence[SuiteResult]]] = []
    for path in (places.directory / "evals").glob("*.json"):
        try:
            content = path.read_bytes()
            file = ResultFile.model_validate_json(content)
            manifest = (places.directory / f"{file.release}.toml").read_text(encoding="utf-8")
            created = parse(manifest, file.release).created
        except (OSError, ValueError, Misconfigured):  # ValueError: not of this form, or not UTF-8
            continue
        if file.sha256 == digest(json.loads(content)):
            found.append((created, file.release, file.suites))
    return [(release, one) for _, release, suites in sorted(found, key=lambda row: row[:2]) for one in suites]
