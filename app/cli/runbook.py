"""`octant runbook …`: find a page by its symptom, or write all pages as one file. Works without service, stores and settings."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from app.oncall.runbook.pages import Section
    from app.oncall.runbook.search import Topic

OTHERS = 4
NEAREST = 3  # where nothing fits well
NO_SYMPTOM = (
    "These words name no symptom: write what callers see, an alert's name or an error's code, such as `answers are slow`."
)


def runbook(
    symptom: Annotated[
        list[str] | None, typer.Argument(help="Words of the symptom, an alert's name, or an error's code.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write every page into one HTML file in this folder.", file_okay=False)
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Print the page that fits best whole.")] = False,
) -> None:
    """Find the runbook's page for a symptom, with its first commands. Needs no service, no store and no network."""
    from app.oncall.runbook.pages import read
    from app.oncall.runbook.search import SURE, find, says_nothing, topics_of

    pages = read()
    if html:
        from app.oncall.runbook.twin import write

        print(write(pages, html))
    if not symptom:
        if not html:
            for topic in topics_of(pages):
                if topic.sections[0].level == 1:
                    print(f"{topic.address:<36} {topic.title}")
        return
    scored = find(pages, " ".join(symptom))
    found = [topic for _, topic in scored]
    if not found:
        why = NO_SYMPTOM if says_nothing(" ".join(symptom)) else "No page has these words."
        print(f"octant: {why} `octant runbook` lists all pages; runbook/README.md is the first.", file=sys.stderr)
        raise typer.Exit(1)
    if scored[0][0] < SURE and not whole:
        print("Nothing fits well, and a page that does not fit can do harm; nearest:")
        _list(found[:NEAREST])
        print("If none fits, begin with runbook/README.md: the first five minutes, and a table of what you see.")
        return
    print(found[0].page.text if whole else "\n".join(_shown(found[0])))
    if found[1:] and not whole:
        print("\nOr:")
        _list(found[1 : 1 + OTHERS])


def _list(topics: "list[Topic]") -> None:
    for topic in topics:
        print(f"  {topic.address:<60} {topic.title}")


def _shown(topic: "Topic") -> list[str]:
    """The heading, the symptom, and the commands under each heading."""
    lines = [topic.title, topic.address]
    if topic.sections[0].level == 1 and (symptom := topic.page.paragraph("Symptom")):
        lines += ["", symptom]
    for section in topic.sections:
        lines += _commands(section)
    capitals = (
        ["", "Words in capitals: runbook/README.md says what each one is."] if any("  fill in " in line for line in lines) else []
    )
    return [*lines, *capitals, "", f"All of it: {topic.address}, or --whole."]


def _commands(section: "Section") -> list[str]:
    if not section.commands or section.title == "Practise":
        return []
    heading = [] if section.level == 1 else ["", section.title]
    condition = [f"  {section.condition}"] if section.condition else []
    return [*heading, *condition, *(f"  {_ready(command.text)}" for command in section.commands)]


def _ready(command: str) -> str:
    """The command after a prompt, or after the words to fill in first: pasted like this, it does nothing."""
    from app.oncall.runbook.pages import blanks

    left = blanks(command)
    return f"fill in {', '.join(left)}: {command}" if left else f"$ {command}"
