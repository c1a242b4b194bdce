"""A service without any product is a working gateway.

It runs on a copy of the code with an empty list and without the products' folders.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, wait_until_ready

from app.features.installed import PRODUCTS
from app.stack.embedded import embedded_postgres, embedded_valkey, free_port

pytestmark = pytest.mark.whole_stack

COMPARE = r"""
import re, sys
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine
from app import migrations
from app.migrations.metadata import METADATA
with create_engine(sys.argv[1]).connect() as connection:
    def is_ours(_, name, kind, *__):
        return not (kind == "table" and re.search(r"_\d{8}$", name))  # partitions
    options = {"compare_type": True, "compare_server_default": True, "include_object": is_ours}
    print(compare_metadata(MigrationContext.configure(connection, opts=options), METADATA))
    print(migrations.current(sys.argv[1]) == migrations.newest())
"""
CHAT: dict[str, Any] = {"model": "smart", "messages": [{"role": "user", "content": "Say hello."}]}


class Gateway:
    """A tree without products and the environment that it runs in."""

    def __init__(self, tree: Path, env: dict[str, str]) -> None:
        self.tree = tree
        self.env = env
        self.url = f"http://127.0.0.1:{env['OCTANT_PORT']}"

    def run(self, *command: str) -> str:
        run = subprocess.run([sys.executable, *command], cwd=self.tree, env=self.env, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    def octant(self, *command: str) -> str:
        return self.run("-m", "app.cli", *command)

    def start(self, *command: str) -> "subprocess.Popen[bytes]":
        with (self.tree / f"{command[-1]}.log").open("wb") as log:
            return subprocess.Popen([sys.executable, *command], cwd=self.tree, env=self.env, stdout=log, stderr=log)


def a_tree_without_products(folder: Path) -> Path:
    for name in ("app", "releases", "runbook"):
        shutil.copytree(ROOT / name, folder / name)  # with what is compiled: it is keyed by each file's time and size
    for product in PRODUCTS:
        shutil.rmtree(folder / product.replace(".", "/"))
    path = folder / "app/features/installed.py"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if line.strip(' ",\n') not in PRODUCTS))
    return folder


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    tree = a_tree_without_products(tmp_path_factory.mktemp("gateway"))
    ports = {name: free_port() for name in ("openai", "anthropic", "control", "port", "metrics", "worker")}
    with embedded_valkey(None) as valkey, embedded_postgres(None) as database:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("OCTANT_", "OPENAI_", "ANTHROPIC_"))} | {
            "OCTANT_VALKEY_URL": valkey,
            "OCTANT_DATABASE_URL": database,
            "OCTANT_OPENAI__BASE_URL": f"http://127.0.0.1:{ports['openai']}/v1",
            "OCTANT_OPENAI__API_KEY": "sim",
            "OCTANT_ANTHROPIC__BASE_URL": f"http://127.0.0.1:{ports['anthropic']}",
            "OCTANT_ANTHROPIC__API_KEY": "sim",
            "OCTANT_PORT": str(ports["port"]),
            "OCTANT_METRICS_PORT": str(ports["metrics"]),
            "OCTANT_WORKER_METRICS_PORT": str(ports["worker"]),
            "OCTANT_WORKERS": "1",
        }
        made = Gateway(tree, env)
        made.octant("setup")
        listeners = [part for name in ("openai", "anthropic", "control") for part in (f"--{name}-port", str(ports[name]))]
        processes = [made.start("-m", "app.simulator", *listeners)]
        processes += [made.start("-m", "app.cli", command) for command in ("serve", "worker")]
        try:
            wait_until_ready(made.url, processes[1], tree / "serve.log")
            yield made
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait(timeout=120)


def ask(gateway: Gateway, path: str, body: object = None) -> tuple[int, Any]:
    key = json.loads((gateway.tree / ".octant/demo.json").read_text())["acme"]
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(gateway.url + path, data, {"authorization": f"Bearer {key}"})  # noqa: S310 - loopback
    request.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - loopback
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read())


def test_its_schema_is_what_its_code_declares(gateway: Gateway) -> None:
    assert gateway.run("-c", COMPARE, gateway.env["OCTANT_DATABASE_URL"]).split("\n")[:2] == ["[]", "True"]


def test_it_answers_both_vendors_apis_and_takes_feedback(gateway: Gateway) -> None:
    status, completion = ask(gateway, "/v1/chat/completions", CHAT)
    assert (status, completion["choices"][0]["message"]["content"]) == (200, "Hello! How can I help you today?")
    status, message = ask(gateway, "/v1/messages", {**CHAT, "max_tokens": 64})
    assert (status, message["content"][0]["text"]) == (200, "Hello! How can I help you today?")
    assert [model["id"] for model in ask(gateway, "/v1/models")[1]["data"]] == ["smart", "fast"]
    rated = {"request_id": "00000000-0000-4000-8000-000000000000", "rating": "bad"}
    assert ask(gateway, "/v1/feedback", rated)[0] == 200


def test_it_does_jobs(gateway: Gateway) -> None:
    status, job = ask(gateway, "/v1/jobs", {"path": "/v1/chat/completions", "body": CHAT})
    assert status == 202, job
    deadline = time.monotonic() + 120
    while (found := ask(gateway, f"/v1/jobs/{job['id']}")[1])["state"] not in ("succeeded", "failed"):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    assert found["state"] == "succeeded", found


def test_its_live_release_pins_no_product(gateway: Gateway) -> None:
    assert "0-start" in gateway.octant("release", "history")
