"""Makes a product of a copy of the small one: endpoint, form, prompt, simulated answers, evals, tests and a runbook page."""

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

from kit.fork import PRODUCTS
from kit.names import checked
from kit.refused import Refused

SMALL = "extract"
COPIED = ("app/features/{}", "evals/suites/{}", "tests/{}")
BOOK, PAGE = "runbook/README.md", "runbook/{}.md"
_PATH = re.compile(r'"/v1/([a-z][a-z0-9]*)(?![a-z0-9_])')
_OTHERS = ("chat", "embeddings", "shadow", "all")  # features of calls that no product makes, and the stop of all
ROW_BEFORE = "| money spent faster than usual |"  # of the runbook's table of symptoms: the row of a product comes before


def make(root: Path, name: str) -> str:
    """Make the product, and say what to do next. Raises Refused; all is checked before anything is written."""
    lines = (root / PRODUCTS).read_text(encoding="utf-8")
    book = (root / BOOK).read_text(encoding="utf-8")
    own = f'    "app.features.{SMALL}",\n'
    missing = [path.format(SMALL) for path in COPIED if not (root / path.format(SMALL)).is_dir()]
    if missing or lines.count(own) != 1:
        raise Refused(f"The small product is not there to be copied: {', '.join(missing) or PRODUCTS}.")
    if ROW_BEFORE not in book:
        raise Refused(f"{BOOK} has no row '{ROW_BEFORE}' before which the product's could stand.")
    checked(name, taken=_taken(root))
    if taken := [path for path in (*(path.format(name) for path in COPIED), PAGE.format(name)) if (root / path).exists()]:
        raise Refused(f"{taken[0]} is there already: take another name, or remove it.")
    for path in COPIED:
        _copy(root / path.format(SMALL), root / path.format(name), name)
    (root / "evals/suites" / name / "baseline.json").write_text('{"cases": {}}\n', encoding="utf-8")
    (root / PRODUCTS).write_text(lines.replace(own, f'{own}    "app.features.{name}",\n'), encoding="utf-8")
    (root / PAGE.format(name)).write_text(_page(name), encoding="utf-8")
    row = f"| wrong or missing answers of `{name}` alone | [{name}]({name}.md) |\n"
    (root / BOOK).write_text(book.replace(ROW_BEFORE, row + ROW_BEFORE, 1), encoding="utf-8")
    return (
        f"The product {name} is a copy of {SMALL}: app/features/{name}, evals/suites/{name}, tests/{name}, {PAGE.format(name)}, "
        f"and its lines in {PRODUCTS} and {BOOK}.\n\nChange its form and its prompt, and pin it in a release: "
        "docs/your-own-feature.md, from section 2 on."
    )


def _taken(root: Path) -> set[str]:
    """Names that something else answers to: a module, a command, a path of the API, a feature of calls that no product makes."""
    from app.cli import app  # loads all commands, which a fork needs none of

    modules = {path.stem for folder in (".", "app/features", "tests") for path in (root / folder).iterdir()}
    code = (path.read_text(encoding="utf-8") for path in (root / "app").rglob("*.py"))
    paths = {found for text in code for found in _PATH.findall(text)}
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    return {*modules, *paths, *commands, *(group.name for group in app.registered_groups if group.name), *_OTHERS}


def _copy(source: Path, target: Path, name: str) -> None:
    """Copy a folder with the product's name in place of the small one's."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    for path in sorted(target.rglob("*")):
        if path.is_file():
            path.write_text(_renamed(path.read_text(encoding="utf-8"), name), encoding="utf-8")


def _renamed(text: str, name: str) -> str:
    """The text of a copied file: the product's name, and nothing that is said of the small one alone."""
    text = re.sub(rf"(?<![a-zA-Z]){SMALL}(?![a-z])", name, text)  # and no part of another word
    text = re.sub(rf"(?<![a-zA-Z]){SMALL.capitalize()}(?![a-z])", name.capitalize(), text)
    text = re.sub(
        r'^"""A SMALL PRODUCT: .*"""$', f'"""The product `{name}`: what it brings to the service."""', text, flags=re.MULTILINE
    )
    text = text.replace('Sample("facts of a message"', f'Sample("{name}"')
    text = re.sub(r"\b([Tt])he small product\b", rf"\1he product `{name}`", text)
    return re.sub(r"^(\s+)example=True,\n", "", text, flags=re.MULTILINE)


def _page(name: str) -> str:
    """A page in the runbook's form. `FILL-IN` is what only its owners know; the readiness review counts it."""
    return f"""# Answers of {name} are wrong

Reviewed: {datetime.now(UTC):%Y-%m-%d}
Words: {name}, {name} is wrong, {name} fails, {name} is slow, answers of {name}

**Symptom.** Answers of `{name}` are wrong, or its calls fail, while other products answer as ever.

## Confirm

```console
$ octant calls --since 15m --feature {name} --limit 10
$ octant release history
```

If a release went live just before, go back: [rollback.md](rollback.md). If other products fail too, the cause is not this one:
[the first five minutes](README.md#the-first-five-minutes).

## Contain

```console
$ octant kill feature {name} --reason "its answers are wrong"
```

Its callers get 503 `stopped` until it is resumed. FILL-IN: who its callers are, and what they do without it.

## Fix

FILL-IN: what its answers come from, and who knows its prompt. Try the call that failed again with the evals:
`python -m evals run --suite {name}`. Then resume it:

```console
$ octant resume feature {name}
```

## Verify

```console
$ octant calls --since 1m --feature {name} --outcome ok --limit 3
```

## Escalate

If it does not answer as it should after the fix, stop it again and call level 2 (`octant oncall now`).
"""
