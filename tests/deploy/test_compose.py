"""The compose file and the image agree with the code.

No Docker engine is used, so no image is built or run.

What each of our commands does is shown in `test_compose_commands.py`, by running it as a process.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from typer.main import get_command

from app.cli import app
from app.gateway.providers.adapters import ADAPTERS
from app.settings import Settings
from app.stack.stop_times import stop_seconds

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]


def test_the_core_profile_has_the_seven_services() -> None:
    assert {name for name, s in SERVICES.items() if "core" in s["profiles"]} == {
        "service", "worker", "evals", "setup", "simulator", "valkey", "postgres",
    }  # fmt: skip


ALLOWED = {
    "build", "cap_drop", "command", "depends_on", "entrypoint", "env_file", "environment", "healthcheck", "image", "mem_limit",
    "ports", "profiles", "read_only", "restart", "security_opt", "stop_grace_period", "tmpfs", "volumes",
}  # fmt: skip


def test_every_key_is_one_that_compose_knows_and_every_volume_is_declared() -> None:
    """By name alone; the real Compose reads the file in `test_compose_settings.py`."""
    for name, service in SERVICES.items():
        assert set(service) <= ALLOWED, name
        named = {volume.split(":")[0] for volume in service.get("volumes", []) if not volume.startswith((".", "/", "$"))}
        assert named <= set(COMPOSE["volumes"]), name
    assert set(COMPOSE) - {"name", "services", "volumes"} == {"x-octant", "x-observer"}


def test_every_variable_of_ours_is_a_setting() -> None:
    known = {name.upper() for name in Settings.model_fields}
    names = set(SERVICES["service"]["environment"]) - {adapter.key_variable for adapter in ADAPTERS.values()}
    assert {name.removeprefix("OCTANT_").split("__")[0] for name in names} <= known


@pytest.mark.parametrize("name", ["service", "worker"])
def test_a_container_is_not_killed_before_its_calls_and_its_parts_have_ended(name: str) -> None:
    """The longest call that the shipped settings allow ends, too."""
    found = re.fullmatch(r"\$\{STOP_GRACE_PERIOD:-(\d+)s\}", SERVICES[name]["stop_grace_period"])
    settings = {name: field.default for name, field in Settings.model_fields.items()}
    assert found
    assert int(found[1]) > stop_seconds(settings["graceful_timeout"]) + 1
    assert settings["graceful_timeout"] > settings["request_deadline"]


def test_the_kill_file_lies_where_every_container_of_ours_sees_it_and_may_write() -> None:
    """One `touch` in one container stops service and workers.

    Also with both stores away.
    """
    state = SERVICES["service"]["environment"]["OCTANT_STATE_DIR"]
    assert Settings(state_dir=state).kill_path.parent == Path(state)
    for name in ("service", "worker"):
        assert f"state:{state}" in SERVICES[name]["volumes"]
    image = (ROOT / "deploy/Dockerfile").read_text()
    assert f"install -d -o octant -g octant {state}" in image
    assert f"VOLUME {state}" in image
    runbook = (ROOT / "runbook/kill-switch.md").read_text()
    assert f"docker compose exec service touch {Settings(state_dir=state).kill_path}" in runbook
    assert f"touch {Settings.model_fields['state_dir'].default}/stop" in runbook


def test_an_empty_name_of_the_kill_file_is_the_default_and_not_the_folder() -> None:
    assert Settings(kill_file="", state_dir="state").kill_path == Path("state/stop")  # type: ignore[arg-type]
    assert Settings(kill_file=Path("/run/octant/halt")).kill_path == Path("/run/octant/halt")


@pytest.mark.parametrize("name", ["service", "setup"])
def test_every_octant_command_exists(name: str) -> None:
    program, *arguments = SERVICES[name]["command"]
    assert program == "octant"
    get_command(app)([*arguments, "--help"], standalone_mode=False)


def test_no_secret_has_a_default() -> None:
    """P6 in spirit: compose refuses to start without them."""
    text = (ROOT / "docker-compose.yml").read_text()
    assert re.findall(r"\$\{(POSTGRES_PASSWORD|OCTANT_SECRET_KEY):-", text) == []


def test_our_containers_are_read_only_unprivileged_and_only_reachable_from_the_host() -> None:
    for name in ("service", "setup", "simulator"):
        assert SERVICES[name]["read_only"] is True
        assert SERVICES[name]["cap_drop"] == ["ALL"]
    ports = [port for s in SERVICES.values() for port in s.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_what_depends_on_a_service_names_one_that_exists_and_can_be_waited_for() -> None:
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES
            if how["condition"] == "service_healthy":
                assert "test" in SERVICES[needed]["healthcheck"]


def test_the_image_installs_by_hash_and_does_not_run_as_root() -> None:
    """S9."""
    text = (ROOT / "deploy/Dockerfile").read_text()
    assert "--require-hashes" in text
    assert re.search(r"^USER 10001$", text, re.MULTILINE)
    for source in re.findall(r"^COPY (?!--from)(\S+)", text, re.MULTILINE):
        assert (ROOT / source).exists(), source
