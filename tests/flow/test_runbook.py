"""Every command of the runbook does what it says, on a running service (K2)."""

import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path

import pytest
from commands import octant_on_path
from conftest import LIVE_RELEASE, ROOT, octant

PATIENCE = 300.0  # seconds a command may take: a drill starts everything, and the machine may be busy
PAGES = sorted((ROOT / "runbook").glob("*.md"))


def blocks(page: Path) -> list[str]:
    found = re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)
    return [line.strip()[2:] for block in found for line in block.splitlines() if line.strip().startswith("$ ")]


@pytest.fixture
def filled_in(service_url: str, stack_env: dict[str, str], api_key: str) -> dict[str, str]:
    """An operator's values for the words in capitals.

    A call that was made, a key to revoke, a release.
    """
    deadline = time.monotonic() + 30
    while not (request_id := answered(service_url, api_key)):
        assert time.monotonic() < deadline, "the page before ended its stop, and a worker does not know it"
        time.sleep(0.2)
    while not octant(stack_env, "calls", "--request-id", request_id, "--json"):
        assert time.monotonic() < deadline, "the record of a call did not appear"
    key = octant(stack_env, "key", "create", "acme", "--name", "leaked", "--quiet").split("_")[1]
    admin = octant(stack_env, "key", "create", "acme", "--name", "operator", "--scope", "admin", "--quiet").strip()
    return {"CALL": request_id, "KEY": key, "ADMIN": admin, "RELEASE": LIVE_RELEASE}


def answered(service_url: str, api_key: str) -> str:
    """The id of a call; empty while the service is stopped."""
    body = json.dumps({"model": "smart", "messages": [{"role": "user", "content": "hello"}]}).encode()
    request = urllib.request.Request(f"{service_url}/v1/chat/completions", data=body)  # noqa: S310 - loopback
    request.add_header("authorization", f"Bearer {api_key}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            return str(answer.headers["x-request-id"])
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
            raise
        return ""


@pytest.mark.timeout(2 * PATIENCE)
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_the_commands_of_a_page_work_in_the_order_in_which_they_stand(
    page: Path, service_url: str, stack_env: dict[str, str], filled_in: dict[str, str]
) -> None:
    """A shell runs the commands, with `octant` on the path.

    A later command releases the stops of an earlier one.
    """
    ran = 0
    try:
        with octant_on_path({**stack_env, "PYTHONPATH": str(ROOT)}) as env:
            for line in blocks(page):
                command = line.replace("http://127.0.0.1:8080", service_url)
                for word, value in filled_in.items():
                    command = re.sub(rf"\b{word}\b", value, command)
                run = subprocess.run(
                    ["/bin/sh", "-c", command], cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False
                )
                assert run.returncode == 0, f"{line}\n{run.stdout}{run.stderr}"
                assert run.stdout.strip(), f"{line} says nothing"
                ran += 1
    finally:
        _as_before(stack_env)
    assert ran > 0


def _as_before(env: dict[str, str]) -> None:
    """Release what a page stopped, close its incidents, and put the newest release live, also when a command failed half-way."""
    for line in octant(env, "incident", "list").splitlines():
        if (number := line.split()[0]).isdigit():
            octant(env, "incident", "close", "--on", number, "--no-change", "the page is done", "--no-draft")
    for line in octant(env, "kill", "status").splitlines():
        scope, _, rest = line.partition(" ")
        if scope in ("all:", "provider", "tenant", "model", "feature"):
            octant(env, "resume", scope.rstrip(":"), *([rest.split(":")[0]] if scope != "all:" else []))
    octant(env, "release", "activate", LIVE_RELEASE, "--reason", "the page is done")
