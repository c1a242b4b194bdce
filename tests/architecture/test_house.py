"""The code follows its own rules."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "app"


def modules() -> Iterator[Path]:
    yield from (p for p in APP.rglob("*.py") if "versions" not in p.parts)


def parsed(*words: str) -> Iterator[tuple[Path, ast.Module]]:
    """The modules that hold one of these words, each with its tree: to parse and walk all costs seconds."""
    for path in modules():
        text = path.read_text()
        if any(word in text for word in words):
            yield path, ast.parse(text)


def test_the_import_contracts_hold() -> None:
    """Layers, and one room for each SDK and client (ADR 0002, 0006)."""
    script = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]


def test_the_environment_is_read_in_settings_alone() -> None:
    """Style: only settings.py reads settings.

    The stack hands an environment to the processes that it starts.
    """
    readers = [
        str(path.relative_to(ROOT))
        for path, tree in parsed("environ", "getenv")
        if path.name != "settings.py" and path.relative_to(APP).parts[0] != "stack"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    ]
    assert readers == []


def test_connections_to_the_stores_are_built_in_one_place() -> None:
    """ADR 0007: in these modules every wait on a store is limited.

    Besides them: migrations, the embedded engines.
    """
    builders = {"create_async_engine", "create_engine", "async_engine_from_config", "from_url", "from_pool", "AsyncConnection"}
    around = {
        str(path.relative_to(APP))
        for path, tree in parsed(*builders, "Redis", "connect")
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in builders)
        or (isinstance(node, ast.Name) and node.id in builders | {"Redis"} and _is_called(node, tree))
        or (isinstance(node, ast.Attribute) and node.attr == "connect" and ast.unparse(node.value) in {"psycopg", "redis"})
    }
    assert around == {"stores.py", "migrations/__init__.py", "migrations/env.py", "stack/embedded.py"}


def test_a_log_line_on_a_store_or_a_file_that_fails_gives_the_reason() -> None:
    """An operator reads "OSError" and cannot tell a full disk from a missing right: `app.domain.store_errors.why` can."""
    failing = {"OSError", "RedisError", "SQLAlchemyError"}
    bare = {
        f"{path.relative_to(APP)}:{fields.lineno}"
        for path, tree in parsed("error_type")
        for handler in ast.walk(tree)
        if isinstance(handler, ast.ExceptHandler)
        and handler.type
        and failing & set(re.findall(r"\w+", ast.unparse(handler.type)))
        for fields in ast.walk(handler)
        if isinstance(fields, ast.Dict) and "'error_type': type(" in ast.unparse(fields)
    }
    assert bare == set()


def _is_called(name: ast.Name, tree: ast.Module) -> bool:
    return any(isinstance(node, ast.Call) and ast.unparse(node.func) == name.id for node in ast.walk(tree))


@pytest.mark.parametrize("room", sorted(p.name for p in APP.iterdir() if (p / "__init__.py").exists()))
def test_every_room_says_at_its_door_what_may_live_there(room: str) -> None:
    docstring = ast.get_docstring(ast.parse((APP / room / "__init__.py").read_text()))
    assert docstring is not None
    assert len(docstring) > 40


def test_no_file_and_no_function_outgrows_one_idea() -> None:
    """Style: about 400 lines a file, 50 a function."""
    long_files = [str(p.relative_to(ROOT)) for p in modules() if p.read_text().count("\n") > 400]
    long_functions = [
        f"{path.relative_to(ROOT)}:{node.name}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 60
    ]
    assert (long_files, long_functions) == ([], [])


def test_a_sum_of_money_in_a_sentence_has_three_digits() -> None:
    """Pages, commands and reports follow one rule (`app.domain.figures.usd`); every digit is for programs.

    But for a difference of counters and a canary over its cap: two sums may differ in the last digit alone.
    """
    whole = [str(path.relative_to(APP)) for path in modules() if re.search(r"\$\{\w*dollars\(", path.read_text())]
    assert sorted(whole) == ["cli/budget.py", "releases/canaries.py"]


def test_importing_the_application_connects_to_nothing_and_starts_nothing() -> None:
    """Style: no work on import, so a server may import once and fork."""
    script = "import threading, app.main; assert threading.active_count() == 1, threading.enumerate()"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
