"""`octant readiness`: the eight questions of the readiness review, as the console's page answers them."""

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from app.console.readiness.answers import Answer, Evidence

EIGHT = 8


def readiness(
    axis: Annotated[list[int] | None, typer.Option(min=1, max=EIGHT, help="Only this question, by its number.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with all evidence.")] = False,
    evidence: Annotated[bool, typer.Option("--evidence", help="With the evidence below each line.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write all of it as one HTML file.", dir_okay=False)] = None,
    pdf: Annotated[Path | None, typer.Option(help="Write all of it as a PDF; Chromium prints it.", dir_okay=False)] = None,
) -> None:
    """Answer the eight questions of the readiness review. Exit code 1: one is failing, stale or not proven."""
    from app.console.readiness.review import lines, summary

    answers = asyncio.run(_reviewed(axis or ()))
    _write(answers, html, pdf)
    if as_json:
        print(json.dumps([_as_json(one) for one in answers], indent=2, default=str, ensure_ascii=False))
    else:
        for line, one in zip(lines(answers), answers, strict=True):
            print(line)
            if evidence:
                print("\n".join(shown for fact in one.evidence for shown in _lines(fact)))
        print(summary(answers)[1])
    if any(one.state not in ("proved", "gaps") for one in answers):
        raise typer.Exit(1)


def _lines(fact: "Evidence") -> "Iterator[str]":
    """A piece of evidence, and its table in columns."""
    yield f"     {fact.state:8} {fact.name}: {fact.finding}"
    widths = [max(map(len, column)) for column in zip(*fact.rows, strict=True)]
    for row in fact.rows:
        yield "              " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _write(answers: "Sequence[Answer]", html: Path | None, pdf: Path | None) -> None:
    """Write the files, and name them beside the answers."""
    if html is None and pdf is None:
        return
    from app.console.readiness.document import document, print_pdf
    from app.settings import load

    whole = document(answers, environment=load().environment, now=datetime.now(UTC))
    if html:
        html.write_text(whole, encoding="utf-8")
    if pdf:
        print_pdf(whole, pdf)
    for path in filter(None, (html, pdf)):
        print(f"Written to {path}.", file=sys.stderr)


async def _reviewed(only: "Sequence[int]") -> "list[Answer]":
    from app.budget.ledger import Ledger
    from app.cli.database import database
    from app.console.readiness.review import review
    from app.console.readiness.sources import Sources
    from app.features.installed import own
    from app.rooms import budget_policy, provider_keys_of, releases_of
    from app.security.keys.administration import KeyAdministration
    from app.stores import build_valkey

    async with database() as (engine, settings):
        valkey = build_valkey(settings)
        try:
            sources = Sources(
                engine=engine, valkey=valkey, ledger=Ledger(engine, valkey), policy=budget_policy(settings),
                workers=settings.workers, releases=releases_of(settings, engine, valkey),
                keys=KeyAdministration(engine, secret=b""), secret=settings.secret, rotation_file=settings.rotation_file,
                rehearsals_file=settings.rehearsals_file, state_dir=settings.state_dir,
                provider_keys=lambda: provider_keys_of(settings).status(), own_products=own(),
            )  # fmt: skip
            return await review(sources, only=only)
        finally:
            await valkey.aclose()


def _as_json(one: "Answer") -> dict[str, object]:
    from dataclasses import asdict

    return {"axis": one.axis, "question": one.question, "answer": one.words, "state": one.state, "command": one.command,
            "evidence": [asdict(fact) for fact in one.evidence]}  # fmt: skip
