"""No value that is typed behind a command ends in a traceback, whatever it is; it is one sentence, or it is taken."""

import shutil
import traceback
from collections.abc import Iterator, Sequence
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import typer
from commands import every_command
from conftest import LIVE_RELEASE, ROOT, own_stores
from typer.testing import CliRunner

import app.cli as octant
from app.domain.errors import Misconfigured

VALUES = (
    "-1", "0", "99999999999999999999999", "", "  ", "\N{SLIGHTLY SMILING FACE}", "../../etc/passwd", "1e309", "nan", "-inf",
    "\N{ARABIC-INDIC DIGIT THREE}", "2026-13-45", "0001-01-01", "9999-12-31T23:59:59", "2026-11-27T10:00+23:59", "999999w",
    "a" * 5000, "a\tb\nc", "\udc80", "'; DROP TABLE calls;--", "{}", "--", "%s%n", "-5%", "500%", "acme/..", "2147483648", "x\0y",
)  # fmt: skip
NUMBERS = ("nan", "1e309", "-1", "99999999999999999999999", "2147483648")
EACH = 2  # values of a parameter that is no number
# They serve, start a service of their own, or write beside this checkout
LEFT_OUT = {
    "demo", "serve", "run", "worker", "reset", "rehearse", "drill gameday", "drill injection", "migrate", "simulate",
    "setup", "seed", "index build", "incident open",
}  # fmt: skip


def usual(parameter: Any) -> str:  # noqa: ANN401 - typer's
    """A value that a required parameter may have."""
    kind, name = parameter.type_descriptor.annotation, parameter.name
    if get_origin(kind) is Literal:
        return str(get_args(kind)[0])
    if kind in (int, float):
        return "1"
    return LIVE_RELEASE if "release" in name else "acme" if "tenant" in name else "xyz"


def lines() -> Iterator[list[str]]:
    """Every command, once for each odd value of each of its parameters."""
    odd = cycle(VALUES)
    for words, command in every_command(typer.main.get_command(octant.app)):
        if any(f"{words} ".startswith(f"{left_out} ") for left_out in LEFT_OUT):
            continue
        takes = [p for p in command.params if not getattr(p, "is_flag", False) and p.name != "help"]
        for parameter in takes:
            numeric = parameter.type_descriptor.annotation in (int, float, float | None, int | None)
            for value in NUMBERS if numeric else islice(odd, EACH):
                line = words.split()
                for other in takes:
                    given = value if other is parameter else usual(other) if other.required else None
                    if given is not None:
                        line += [given] if other.param_type_name == "argument" else [max(other.opts, key=len), given]
                yield line


def sentence(line: Sequence[str]) -> str | None:
    """The traceback that a command ends in; None where it is one sentence, or all is well."""
    try:
        octant.check_arguments(line)
    except Misconfigured:
        return None
    ran = CliRunner().invoke(octant.app, line)
    error = ran.exception
    if error is None or isinstance(error, SystemExit) or octant.sentence_of(error):
        return None
    return f"{line}: {''.join(traceback.format_exception(error)[-3:])}"


def test_no_value_ends_a_command_in_a_traceback(
    stack_env: dict[str, str], database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    releases = shutil.copytree(ROOT / "releases", tmp_path / "releases")
    with own_stores(stack_env, database_url, "odd_values") as env:
        for name, value in {**env, "OCTANT_RELEASES_DIR": str(releases)}.items():
            monkeypatch.setenv(name, value)
        tried = count()
        tracebacks = [found for line in lines() if (next(tried), found := sentence(line))[1]]
    assert tracebacks == []
    assert next(tried) > 300
