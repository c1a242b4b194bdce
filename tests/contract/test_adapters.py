"""A vendor with its own wire is one row and its adapter's file."""

import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, own_database

from app.gateway.providers.adapters import ADAPTERS
from app.settings import ProviderSettings, load

ROW = """    Adapter(
        kind="parrot",
        provider="app.gateway.providers.parrot:ParrotProvider",
        base_url="https://parrot.example",
        key_variable="PARROT_API_KEY",
    ),
"""
MANIFEST = """id = "parrot"
created = 2026-11-26
note = "Every call goes to the parrot."
code = "0.1.0"

[prices]
file = "prices/parrot.toml"
sha256 = "{sha256}"

[routes.smart]
targets = [{{ provider = "parrot", model = "grey" }}]
max_output_tokens = 100
"""
PRICES = """version = "parrot"
effective = 2026-11-26
unit = "micro-USD per million tokens"
sources = ["https://parrot.example/pricing"]

[[price]]
provider = "parrot"
model = "grey"
input = 1_000_000
output = 2_000_000
cached_input = 1_000_000
cache_write = 1_000_000
"""
CALL = """
import asyncio, json
from app.domain.calls import Call, Deadline, Identity
from app.domain.messages import Message, Text
from app.security.keys.administration import KeyAdministration
from app.settings import load
from app.rooms import releases_of
from app.stores import build_engine, build_valkey
from app.telemetry.metrics import Metrics
from app.wiring import open_parts

async def main():
    settings = load()
    engine, valkey = build_engine(settings), build_valkey(settings)
    tenant = await KeyAdministration(engine, secret=settings.secret).create_tenant("birds", "Birds", 10_000_000, 10_000_000)
    await releases_of(settings, engine, valkey).activate("parrot", by="tests", reason="a new vendor", force=True)
    await valkey.aclose()
    await engine.dispose()
    async with open_parts(settings, Metrics()) as parts:
        call = Call(id="req_1", identity=Identity(tenant=tenant, key_id="k", user="ada"), feature="chat", target="smart",
                    deadline=Deadline.after(30), messages=(Message("user", (Text("pretty polly"),)),))
        answer = await parts.features.gateway.complete(call)
    print(json.dumps([answer.reply.text, answer.receipt.provider, answer.receipt.model, answer.receipt.cost]))

asyncio.run(main())
"""


class _Parrot(http.server.BaseHTTPRequestHandler):
    """The vendor: it speaks neither of the wires that we know."""

    heard: list[tuple[str, dict[str, Any]]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.heard.append((self.headers["x-cracker"], body))
        answer = json.dumps({"says": body["heard"].upper(), "seeds": [7, 5]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def parrot() -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    heard: list[tuple[str, dict[str, Any]]] = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Parrot,), {"heard": heard})) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", heard
        server.shutdown()
        thread.join()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The service's code with the row and the file, and a release that routes to the new vendor."""
    shutil.copytree(ROOT / "app", tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "runbook", tmp_path / "runbook")
    shutil.copy(ROOT / "tests" / "parrot.py", tmp_path / "app" / "gateway" / "providers")
    table = tmp_path / "app" / "gateway" / "providers" / "adapters.py"
    text = table.read_text()
    assert text.count("_ROWS = (\n") == 1
    table.write_text(text.replace("_ROWS = (\n", "_ROWS = (\n" + ROW))
    (tmp_path / "releases" / "prices").mkdir(parents=True)
    (tmp_path / "releases" / "prices" / "parrot.toml").write_text(PRICES)
    digest = hashlib.sha256(PRICES.encode()).hexdigest()
    (tmp_path / "releases" / "parrot.toml").write_text(MANIFEST.format(sha256=digest))
    return tmp_path


def run(tree: Path, env: dict[str, str], *command: str) -> "subprocess.CompletedProcess[str]":
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OCTANT_", "OPENAI_", "ANTHROPIC_", "PARROT_"))}
    env = {**clean, "PYTHONPATH": str(tree), "OCTANT_STATE_DIR": str(tree / "state"), **env}
    return subprocess.run([sys.executable, *command], cwd=tree, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_a_row_and_a_file_take_a_call_through_the_gateway_to_a_new_vendor(
    tree: Path, parrot: tuple[str, list[tuple[str, dict[str, Any]]]], database_url: str, valkey_url: str
) -> None:
    """Its key comes from its own variable; its figures are priced and spent like any other's."""
    address, heard = parrot
    with own_database(database_url, "parrot") as database:
        env = {"OCTANT_DATABASE_URL": database, "OCTANT_VALKEY_URL": valkey_url, "OCTANT_LOG_LEVEL": "error"}
        env["OCTANT_BUDGET__GLOBAL_DAILY_CAP"] = "1000000"  # of Valkey's counters, which other tests count in, too
        answer = run(tree, {**env, "OCTANT_PARROT__BASE_URL": address, "PARROT_API_KEY": "cracker"}, "-c", CALL)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert json.loads(answer.stdout) == ["PRETTY POLLY", "parrot", "grey", 17]
    assert heard == [("cracker", {"voice": "grey", "heard": "pretty polly"})]


def test_a_new_row_is_known_to_the_commands_and_to_the_checks_before_production(tree: Path) -> None:
    status = run(tree, {"PARROT_API_KEY": "cracker"}, "-m", "app.cli", "provider-key", "status")
    assert re.search(r"^parrot +\S+  PARROT_API_KEY  age unknown", status.stdout, re.MULTILINE), status.stdout + status.stderr
    check = run(tree, {}, "-m", "app.cli", "check", "--production")
    assert "Provider parrot: calls go to parrot.example" in check.stdout, check.stdout + check.stderr


@pytest.mark.parametrize("kind", ADAPTERS)
def test_every_adapter_is_a_setting_with_its_vendors_address(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (f"OCTANT_{kind.upper()}__API_KEY", f"OCTANT_{kind.upper()}__BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(ADAPTERS[kind].key_variable, "the-vendors-own")
    settings = load()
    assert settings.vendor(kind).base_url == ADAPTERS[kind].base_url
    assert settings.key_places()[kind].setting == ADAPTERS[kind].key_variable
    assert settings.vendor(kind).api_key.get_secret_value() == "the-vendors-own"


def test_a_wire_that_no_adapter_speaks_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=f"must be one of: {', '.join(ADAPTERS)}"):
        ProviderSettings(kind="telegraph", base_url="http://127.0.0.1:1")


def test_commands_and_settings_import_no_vendors_sdk() -> None:
    """The SDKs take a second; `octant --help` and a kill switch at night need none of them."""
    script = "import sys, app.cli, app.settings, app.main; print([m for m in ('openai', 'anthropic') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.stdout.strip() == "[]", found.stderr


def test_no_code_outside_the_adapters_asks_which_vendor_it_is() -> None:
    """The dialects of our own API are the callers', not the vendors': in `api`, and where errors and the document are written."""
    own_api = {"edge/errors.py", "edge/openapi.py"}
    pattern = re.compile(r"""[=!]= ["'](openai|anthropic)["']|["'](openai|anthropic)["']: |\(["'](openai|anthropic)["'],""")
    found = [
        f"{path.relative_to(ROOT / 'app')}: {line.strip()}"
        for path in sorted((ROOT / "app").rglob("*.py"))
        if str(path.relative_to(ROOT / "app")) not in own_api and not {"providers", "api"} & set(path.parts)
        for line in path.read_text().splitlines()
        if pattern.search(line)
    ]
    assert found == []
