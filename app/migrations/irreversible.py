"""Finds revisions that cannot simply go back, and the plan for each of them (B6).

Two things make a revision one of these. Its downgrade loses data: it drops a table or a column, deletes rows, or raises. Or its
upgrade changes what the code before it relies on: it drops, renames or tightens something, or rewrites stored rows. Both are read
from the revision's source, so the answer needs no database; `tests/unit/migrations/test_with_data.py` compares it with the losses
of a real Postgres.

Each is a row of a table in Markdown: `docs/irreversible.md` for our revisions, `migrations/irreversible.md` in its own folder for
a product's. A row is needed before the revision may be released.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.domain.errors import Misconfigured
from app.features.installed import installed

VERSIONS = Path(__file__).resolve().parent / "versions"
PLANS = Path(__file__).resolve().parents[2] / "docs" / "irreversible.md"
FILE = "irreversible.md"  # of a product, in its folder of revisions
WORKS, FAILS = "works", "fails"  # what the code before a revision does on its schema

_ROW = re.compile(r"^\| *`?(?P<revision>\d{4}_\w+)`? *\|(?P<before>[^|]*)\|(?P<loses>[^|]*)\|(?P<plan>[^|]*)\| *$", re.MULTILINE)
_LOST = re.compile(r"\b(?:DROP\s+TABLE|DROP\s+COLUMN|DELETE\s+FROM|TRUNCATE\s+(?!ON\b)\w)", re.IGNORECASE)
_CHANGED = re.compile(
    r"\b(?:DROP\s+TABLE|DROP\s+COLUMN|RENAME\s+(?:TO|COLUMN)|SET\s+NOT\s+NULL|ADD\s+CONSTRAINT|UPDATE\s+\S+\s+SET|UPDATE\s*\Z"
    r"|DELETE\s+FROM)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """A row of the table. ``before``: `works` or `fails`, and a few words; ``loses``: what a downgrade loses."""

    revision: str
    before: str
    loses: str
    plan: str

    @property
    def earlier_code_works(self) -> bool:
        """Whether code from before the revision runs on its schema."""
        return self.before.startswith(WORKS)


@dataclass(frozen=True, slots=True)
class Step:
    """The source of one revision, read: the statements that lose data going back, and those that change what was there."""

    revision: str
    loses: tuple[str, ...]
    changes: tuple[str, ...]


def folders() -> dict[Path, Path]:
    """Every folder of revisions, and the file with the plans of its revisions."""
    products = (feature.migrations for feature in installed() if feature.migrations)
    return {VERSIONS: PLANS, **{folder: folder / FILE for folder in products}}


def steps(folder: Path) -> list[Step]:
    """The revisions of a folder, in the order of their numbers."""
    return [_step(path) for path in sorted(folder.glob("[0-9]*.py"))]


def plans(path: Path) -> dict[str, Plan]:
    """The rows of a file by revision. A missing file has none."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    rows = (Plan(*(cell.strip() for cell in row.group("revision", "before", "loses", "plan"))) for row in _ROW.finditer(text))
    return {row.revision: row for row in rows}


def problems(of: Mapping[Path, Path] | None = None) -> list[str]:
    """A sentence for each revision without a plan, each row without a revision and each incomplete row."""
    found: list[str] = []
    for folder, path in (of or folders()).items():
        known, written = {step.revision: step for step in steps(folder)}, plans(path)
        found += [
            f"{path}: no row for {step.revision}, which cannot simply go back ({'; '.join((*step.loses, *step.changes))})."
            for step in known.values()
            if (step.loses or step.changes) and step.revision not in written
        ]
        found += [f"{path}: there is no revision {name}. Remove its row." for name in written if name not in known]
        found += [problem for row in written.values() for problem in _incomplete(path, row, known.get(row.revision))]
    return found


def passed(now: Iterable[str], then: Iterable[str]) -> list[Plan]:
    """The plans of the revisions that a schema at the heads ``now`` has and one at the heads ``then`` lacks, newest first.

    Raises Misconfigured for a head that this code does not know.
    """
    rows = {name: row for path in folders().values() for name, row in plans(path).items()}
    return [rows[name] for name in sorted(_closure(now) - _closure(then), reverse=True) if name in rows]


def _closure(heads: Iterable[str]) -> set[str]:
    before = {revision: down for folder in folders() for revision, down in _chain(folder)}
    found: set[str] = set()
    for head in heads:
        if head not in before:
            raise Misconfigured(f"This code does not know the schema {head}: run the command of the code that made it.")
        name: str | None = head
        while name is not None:
            found.add(name)
            name = before[name]
    return found


def _chain(folder: Path) -> Iterator[tuple[str, str | None]]:
    for path in folder.glob("[0-9]*.py"):
        names = _constants(ast.parse(path.read_text(encoding="utf-8")))
        yield str(names["revision"]), names["down_revision"]


def _constants(tree: ast.Module) -> dict[str, str | None]:
    """The module's names for a text or None."""
    return {
        node.targets[0].id: value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Constant)
        for value in (node.value.value,)
        if value is None or isinstance(value, str)
    }


def _incomplete(path: Path, row: Plan, step: Step | None) -> Iterator[str]:
    if not row.before.startswith((WORKS, FAILS)):
        yield f"{path}: {row.revision}: the second column says `{WORKS}` or `{FAILS}`, for the code before it."
    if len(row.plan) < 10:
        yield f"{path}: {row.revision} has no plan."
    if step and step.loses and len(row.loses) < 3:
        yield f"{path}: {row.revision}: its downgrade loses data ({'; '.join(step.loses)}), and the row does not say which."


def _step(path: Path) -> Step:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    up, down = list(_reached(tree, "upgrade")), list(_reached(tree, "downgrade"))
    made = {_text(call.args[0]) for call in _calls(up) if _name(call) == "create_table"}
    return Step(
        revision=path.stem,
        loses=tuple(dict.fromkeys((*_losses(down), *_matches(down, _LOST)))),
        changes=tuple(dict.fromkeys((*_changes(up, made), *_matches(up, _CHANGED)))),
    )


def _reached(tree: ast.Module, name: str) -> Iterator[ast.AST]:
    """Every node of a function, and of the functions and constants of its module that it names."""
    named: dict[str, ast.AST] = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    named |= {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    seen, waiting = set[str](), [name]
    while waiting:
        current = waiting.pop()
        if current in seen or current not in named:
            continue
        seen.add(current)
        for node in ast.walk(_without_docstring(named[current])):
            yield node
            if isinstance(node, ast.Name):
                waiting.append(node.id)


def _without_docstring(node: ast.AST) -> ast.AST:
    if isinstance(node, ast.FunctionDef) and ast.get_docstring(node):
        return ast.Module(body=node.body[1:], type_ignores=[])
    return node


def _calls(nodes: Iterable[ast.AST]) -> Iterator[ast.Call]:
    """Calls of Alembic's operations, as `op.drop_table(…)`."""
    return (n for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and _text(n.func.value) == "op")


def _losses(nodes: list[ast.AST]) -> Iterator[str]:
    for call in _calls(nodes):
        if _name(call) in {"drop_table", "drop_column"}:
            yield f"{_name(call)} {'.'.join(_text(argument) for argument in call.args)}"
    if any(isinstance(node, ast.Raise) for node in nodes):
        yield "raises"


def _changes(nodes: list[ast.AST], made: set[str]) -> Iterator[str]:
    for call in _calls(nodes):
        name, where = _name(call), _text(call.args[0]) if call.args else ""
        options = {keyword.arg: keyword.value for keyword in call.keywords}
        table = _text(call.args[1]) if name.startswith("create_") and len(call.args) > 1 else where
        if table in made:
            continue
        tightens = name == "alter_column" and (
            _is(options.get("nullable"), value=False) or {"new_column_name", "type_"} & set(options)
        )
        unique = name == "create_index" and _is(options.get("unique"), value=True)
        needed = name == "add_column" and _needs_a_value(call.args[1])
        always = {"drop_table", "drop_column", "rename_table", "create_unique_constraint", "create_check_constraint"}
        if name in always or name == "create_foreign_key" or tightens or unique or needed:
            yield f"{name} {table}"


def _needs_a_value(column: ast.expr) -> bool:
    """Whether an insert that does not know the new column fails."""
    options = {keyword.arg: keyword.value for keyword in column.keywords} if isinstance(column, ast.Call) else {}
    return _is(options.get("nullable"), value=False) and "server_default" not in options


def _matches(nodes: list[ast.AST], pattern: re.Pattern[str]) -> Iterator[str]:
    """Statements in SQL, in plain strings or in the fixed parts of others."""
    texts = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return (" ".join(found.split()) for text in texts for found in pattern.findall(text))


def _is(node: ast.expr | None, *, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _text(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)
