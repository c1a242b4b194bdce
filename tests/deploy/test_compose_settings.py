"""A setting that is set holds in every container.

The real Docker Compose resolves the file; no engine is needed for that.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from app.rooms import simulated_providers
from app.settings import Settings, load

COMPOSE = Path(sys.executable).with_name("docker-compose")
EXAMPLE = (ROOT / ".env.example").read_text()
NAMES = tuple(re.findall(r"^#? ?(OCTANT_[A-Z_]+)=", EXAMPLE, re.MULTILINE))
OURS = ("service", "worker", "evals", "setup")
REQUIRED = {"POSTGRES_PASSWORD": "made-up", "OCTANT_SECRET_KEY": "made-up-and-thirty-two-characters"}
LAID_OUT = {
    "OCTANT_HOST", "OCTANT_PORT", "OCTANT_ADMIN_HOST", "OCTANT_METRICS_PORT", "OCTANT_WORKER_METRICS_PORT",
    "OCTANT_EVALS__METRICS_PORT", "OCTANT_DATABASE_URL", "OCTANT_VALKEY_URL", "OCTANT_STATE_DIR", "OCTANT_SECRETS_DIR",
}  # fmt: skip
"""Set by compose itself: addresses, ports and folders inside the containers."""


def resolved(folder: Path, environment: Mapping[str, str], *options: str) -> dict[str, Any]:
    """The services as compose would start them from ``folder``.

    The folder may hold a .env.
    """
    command = [str(COMPOSE), "--project-directory", str(folder), "-f", str(ROOT / "docker-compose.yml"), *options]
    run = subprocess.run(
        [*command, "--profile", "core", "config", "--format", "json"],
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **environment},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    services: dict[str, Any] = json.loads(run.stdout)["services"]
    return services


def given(service: Mapping[str, Any]) -> dict[str, str]:
    """The variables that a container gets.

    Compose shows a variable that is not set as null and does not pass it.
    """
    return {name: value for name, value in service["environment"].items() if value is not None}


def as_the_service_reads(variables: Mapping[str, str], secrets: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a container with these variables and this folder of secrets."""
    for name in [n for n in os.environ if n.startswith(("OCTANT_", "OPENAI_", "ANTHROPIC_"))]:
        monkeypatch.delenv(name)
    for name, value in {**variables, "OCTANT_SECRETS_DIR": str(secrets)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(secrets)
    return load()


@pytest.mark.parametrize("place", ["shell", ".env"])
def test_every_setting_reaches_every_container_of_ours(place: str, tmp_path: Path) -> None:
    """The two ways to set a variable.

    A provider of a name that we do not know can only come from .env.
    """
    wanted = {name: f"set-{number}" for number, name in enumerate(NAMES) if name not in LAID_OUT} | REQUIRED
    ports = {"OCTANT_PORT": "18080", "OCTANT_METRICS_PORT": "19464"}  # published on this host: numbers
    if place == ".env":
        wanted["OCTANT_PROVIDERS__GROQ__BASE_URL"] = "set-by-name"
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in wanted.items()))
    else:
        wanted = {name: value for name, value in wanted.items() if not name.startswith("OCTANT_PROVIDERS__")}
    services = resolved(tmp_path, ports if place == ".env" else {**wanted, **ports})
    settings = {name: value for name, value in wanted.items() if name.startswith("OCTANT_")}
    for name in OURS:
        got = given(services[name])
        assert {setting: got.get(setting) for setting in settings} == settings, name
    assert {port["published"] for port in services["service"]["ports"]} == {"18080", "19464"}
    assert {port["target"] for port in services["service"]["ports"]} == {8080, 9464}


@pytest.mark.parametrize("example", [True, False], ids=["with the example as .env", "with nothing set"])
def test_the_defaults_of_compose_are_those_of_the_service_with_the_simulator(
    example: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if example:
        shutil.copy(ROOT / ".env.example", tmp_path / ".env")
    got = given(resolved(tmp_path, REQUIRED)["service"])
    monkeypatch.chdir(tmp_path / "..")
    for name in [n for n in os.environ if n.startswith(("OCTANT_", "OPENAI_", "ANTHROPIC_"))]:
        monkeypatch.delenv(name)
    plain = Settings(_env_file=None).model_dump()  # type: ignore[call-arg]
    for name, value in got.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OCTANT_SECRETS_DIR", str(tmp_path))
    here = Settings(_env_file=None).model_dump()  # type: ignore[call-arg]
    assert here["openai"]["base_url"] == "http://simulator:8101/v1"
    assert here["anthropic"]["base_url"] == "http://simulator:8102"
    assert here["deploy"].pop("code") == "octant:0.1.0", "the image, which compose lays out"
    assert plain["deploy"].pop("code") == ""
    settled = {name.removeprefix("OCTANT_").lower() for name in LAID_OUT} | {"openai", "anthropic", "secret_key"}
    differing = {name for name in plain if plain[name] != here[name]}
    assert differing <= settled, differing


def test_the_simulator_knows_no_secret(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=made-up\nOPENAI_API_KEY=made-up\n")
    simulator = resolved(tmp_path, REQUIRED)["simulator"]
    assert (simulator.get("environment"), simulator.get("volumes")) in (({}, []), (None, None)), simulator


@pytest.mark.parametrize("vendor", ["OPENAI", "ANTHROPIC"])
def test_a_vendor_is_called_with_the_key_that_was_set_under_either_name(
    vendor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = {f"OCTANT_{vendor}__BASE_URL": "https://vendor.test/v1"}
    for name in (f"{vendor}_API_KEY", f"OCTANT_{vendor}__API_KEY"):
        got = given(resolved(tmp_path, {**REQUIRED, **address, name: "made-up-key"})["service"])
        assert got[name] == "made-up-key"
        assert got[f"OCTANT_{vendor}__BASE_URL"] == "https://vendor.test/v1"
        assert as_the_service_reads(got, tmp_path, monkeypatch).provider_key(vendor.lower()) == "made-up-key"


@pytest.mark.parametrize("vendor", ["OPENAI", "ANTHROPIC"])
def test_a_secret_file_holds_the_key_where_no_variable_does(vendor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As deploy/secrets/README.md says; without one it is the simulator's."""
    address = {f"OCTANT_{vendor}__BASE_URL": "https://vendor.test/v1"}
    got = given(resolved(tmp_path, {**REQUIRED, **address})["service"])
    assert as_the_service_reads(got, tmp_path, monkeypatch).provider_key(vendor.lower()) == "simulator"
    (tmp_path / f"octant_{vendor.lower()}__api_key").write_text("key-of-a-file\n")
    settings = as_the_service_reads(got, tmp_path, monkeypatch)
    assert settings.provider_key(vendor.lower()) == "key-of-a-file"
    assert vendor.lower() not in simulated_providers(settings)


def test_the_observability_profile_overrides_an_example_copied_to_env(tmp_path: Path) -> None:
    """The command of docs/operations.md, on a fresh clone."""
    shutil.copy(ROOT / ".env.example", tmp_path / ".env")
    options = ("--env-file", str(tmp_path / ".env"), "--env-file", str(ROOT / "deploy/observability.env"))
    got = given(resolved(tmp_path, REQUIRED, *options)["service"])
    assert got["OCTANT_OTLP_ENDPOINT"] == "http://collector:4318"
    assert got["OCTANT_BUDGET__ALERTMANAGER_URL"] == "http://alertmanager:9093"


def test_the_folder_of_secrets_is_mounted_read_only_where_the_service_looks(tmp_path: Path) -> None:
    for environment, source in (({}, tmp_path / "deploy/secrets"), ({"OCTANT_SECRETS_DIR": "/srv/keys"}, Path("/srv/keys"))):
        service = resolved(tmp_path, {**REQUIRED, **environment})["service"]
        (mount,) = [volume for volume in service["volumes"] if volume["target"] == given(service)["OCTANT_SECRETS_DIR"]]
        assert (Path(mount["source"]), mount["read_only"]) == (source, True)
