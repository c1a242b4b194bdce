"""The compose file's commands, run as processes with its own environment.

A container would run the same.

Not shown here, for want of a Docker engine: that the image builds, the read-only root, the dropped capabilities, the networks.
"""

import json
import re
import shlex
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, running_service

from app.stack.embedded import embedded_postgres, embedded_valkey, free_port

pytestmark = pytest.mark.whole_stack

SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
GIVEN = {
    "POSTGRES_PASSWORD": "made-up",
    "OCTANT_SECRET_KEY": "made-up-and-thirty-two-characters",
    "OCTANT_ENVIRONMENT": "staging",
}


def interpolated(value: str) -> str:
    """A value as compose fills it in.

    Raises KeyError for a variable that is required and not given.
    """
    return re.sub(r"\$\{(\w+)(?::-([^}]*))?[^}]*\}", lambda m: GIVEN.get(m[1]) or (GIVEN[m[1]] if m[2] is None else m[2]), value)


def command_of(service: str) -> list[str]:
    """Its command, with the programs of the image replaced by ours."""
    program, *arguments = SERVICES[service]["command"]
    return [sys.executable, *(["-m", "app.cli"] if program == "octant" else []), *arguments]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables of each of our containers in compose.

    Only addresses and folders are those of this machine.
    """
    listed = SERVICES["service"]["environment"]
    variables = {name: interpolated(value) for name, value in listed.items() if value is not None}
    variables |= {name: GIVEN[name] for name, value in listed.items() if value is None and name in GIVEN}
    with embedded_valkey(None) as valkey, embedded_postgres(None) as database, simulator() as ports:
        here = {
            "OCTANT_HOST": "127.0.0.1",
            "OCTANT_PORT": str(free_port()),
            "OCTANT_METRICS_PORT": str(free_port()),
            "OCTANT_DATABASE_URL": database,
            "OCTANT_VALKEY_URL": valkey,
            "OCTANT_STATE_DIR": str(tmp_path_factory.mktemp("state")),
            "OCTANT_SECRETS_DIR": str(tmp_path_factory.mktemp("secrets")),
            "OCTANT_OPENAI__BASE_URL": variables["OCTANT_OPENAI__BASE_URL"].replace(
                "simulator:8101", f"127.0.0.1:{ports['openai']}"
            ),
            "OCTANT_ANTHROPIC__BASE_URL": variables["OCTANT_ANTHROPIC__BASE_URL"].replace(
                "simulator:8102", f"127.0.0.1:{ports['anthropic']}"
            ),
        }
        yield {**variables, **here, "HOME": tempfile.gettempdir(), "PATH": "/usr/bin:/bin"}


@contextmanager
def simulator() -> Iterator[dict[str, int]]:
    """The simulator by its command of the compose file.

    On free ports of the loopback.
    """
    command = [re.sub(r"^81\d\d$", "0", word).replace("0.0.0.0", "127.0.0.1") for word in command_of("simulator")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.terminate()


def test_setup_then_service_then_a_call_through_the_simulator(environment: dict[str, str], tmp_path: Path) -> None:
    """The second setup, as at every `up`, changes nothing."""
    for _ in range(2):
        run = subprocess.run(
            command_of("setup"), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert run.returncode == 0, run.stdout + run.stderr
    key = json.loads((Path(environment["OCTANT_STATE_DIR"]) / "demo.json").read_text())["acme"]
    assert command_of("service")[1:] == ["-m", "app.cli", "serve"]
    with running_service(environment, tmp_path / "service.log") as url:
        assert healthy(environment["OCTANT_PORT"])
        body = json.dumps({"text": "Please call me back.", "user": "ada"}).encode()
        request = urllib.request.Request(url + "/v1/extract", body, {"authorization": f"Bearer {key}"})  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - loopback
            assert json.loads(answer.read())["request"] == "Please call me back."
    assert not healthy(environment["OCTANT_PORT"])


def healthy(port: str) -> bool:
    """The image's own health check, on the port of this run."""
    found = re.search(r"^HEALTHCHECK .*\\\n\s*CMD (\[.*\])$", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    program, *arguments = json.loads(found[1].replace(":8080/", f":{port}/"))
    assert program == "python"
    return subprocess.run([sys.executable, *arguments], capture_output=True, timeout=120, check=False).returncode == 0


def test_the_service_refuses_the_development_secret_outside_development(environment: dict[str, str]) -> None:
    careless = {k: v for k, v in environment.items() if k != "OCTANT_SECRET_KEY"}
    run = subprocess.run(command_of("service"), cwd=ROOT, env=careless, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 1
    assert "secret_key must be set" in run.stderr
    assert "Traceback" not in run.stderr


def test_the_command_written_into_the_image_is_the_one_that_compose_runs() -> None:
    """The image's `octant` is `python -m app.cli`, as it is here."""
    text = (ROOT / "deploy/Dockerfile").read_text()
    assert 'exec python -m app.cli "$@"' in text
    last = re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)[-1]
    assert json.loads(last) == SERVICES["service"]["command"]
    assert shlex.join(SERVICES["service"]["command"]) == "octant serve"
