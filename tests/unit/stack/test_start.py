"""A command starts at once: what it does not use is not imported."""

import json
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
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize("words", [["--help"], ["budget", "--help"], ["release", "activate", "--help"]], ids=" ".join)
def test_help_is_shown_without_loading_a_heavy_library(words: list[str]) -> None:
    """Importing these takes seconds, for which an operator at 3 a.m. would wait."""
    command = [sys.executable, "-c", LOADED, json.dumps(words)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    assert "Usage: " in run.stdout
    assert HEAVY & set(json.loads(run.stdout.splitlines()[-1])) == set()
