"""A command starts at once: what it does not use is not imported."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

HEAVY = {
    *("aiohttp", "alembic", "anthropic", "fastapi", "gunicorn", "openai", "opentelemetry", "prometheus_client", "psycopg"),
    *("pydantic_settings", "redis", "sqlalchemy", "starlette", "structlog", "uvicorn", "yaml"),
}
LOADED = """
import json, sys
from app.cli import main
sys.argv = ["octant", *json.loads(sys.argv[1])]
try:
    main()
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)))
"""
# A release's manifest brings the guard with its patterns, the rotation its calendar.
OF_OTHER_ROOMS = {
    "app.releases.manifest",
    "app.security.guard.guard",
    "app.oncall.rota.rotation",
    "icalendar",
    "markdown_it",
    "yaml",
}


@pytest.mark.parametrize("words", [["--help"], ["budget", "--help"], ["release", "activate", "--help"]], ids=" ".join)
def test_help_is_shown_without_loading_a_heavy_library(words: list[str]) -> None:
    """Importing these takes seconds, for which an operator at 3 a.m. would wait."""
    said, loaded = run(words)
    assert "Usage: " in said
    assert HEAVY & {name.partition(".")[0] for name in loaded} == set()


def test_a_command_on_keys_loads_the_stores_and_no_room_that_it_does_not_use() -> None:
    away = {"OCTANT_DATABASE_URL": "postgresql+psycopg://octant@127.0.0.1:1/octant", "OCTANT_VALKEY_URL": "redis://127.0.0.1:1/0"}
    _, loaded = run(["key", "list"], **away)
    assert "app.stores" in loaded
    assert OF_OTHER_ROOMS & loaded == set()


def run(words: list[str], **settings: str) -> tuple[str, set[str]]:
    """Run a command as a process. Returns its output, and the modules that it has loaded."""
    command, env = [sys.executable, "-c", LOADED, json.dumps(words)], {**os.environ, **settings}
    ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout, set(json.loads(ran.stdout.splitlines()[-1]))
