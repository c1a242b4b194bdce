"""Profile `observability`: its files exist, parse, and agree.

They agree with each other, with the service, and with their generators.

No Docker engine and no image registry is at hand: that the images start, and that their pinned versions exist, is not shown.
"""

import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from conftest import ROOT

from app.settings import EvalsSettings, Settings
from deploy.dashboards.build import dashboard_files
from deploy.dashboards.panels import SOURCE

SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
OBSERVERS = {name: service for name, service in SERVICES.items() if "observability" in service["profiles"]}
SERVICE_ENV = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / "deploy/observability.env").read_text(), re.MULTILINE))


def read(path: str) -> Any:  # noqa: ANN401 - YAML
    return yaml.safe_load((ROOT / path).read_text())


def mounts(name: str) -> dict[str, str]:
    """Path in the container → file or folder of ours."""
    ours = [volume.split(":") for volume in OBSERVERS[name]["volumes"] if volume.startswith("./")]
    assert all(mode == "ro" for _, _, mode in ours), name
    return {inside: outside.removeprefix("./") for outside, inside, _ in ours}


def ours(name: str, inside: str) -> Path:
    """Our file behind a path in a container."""
    for mounted, outside in mounts(name).items():
        if inside == mounted or inside.startswith(mounted + "/"):
            return ROOT / (outside + inside.removeprefix(mounted))
    raise AssertionError(f"{inside} is not mounted in {name}")


def option(name: str, key: str) -> str:
    """An option of a container's command."""
    return next(str(word).split("=", 1)[1] for word in OBSERVERS[name]["command"] if word.startswith(f"--{key}="))


def published(name: str) -> list[str]:
    return [port.rsplit(":", 1)[1] for port in OBSERVERS[name].get("ports", [])]


def test_the_profile_runs_metrics_alerts_dashboards_and_traces_alone() -> None:
    assert set(OBSERVERS) == {"prometheus", "alertmanager", "grafana", "collector", "jaeger"}
    assert all(service["profiles"] == ["observability"] for service in OBSERVERS.values())


@pytest.mark.parametrize("name", OBSERVERS)
def test_each_is_pinned_read_only_unprivileged_and_reached_from_this_host_alone(name: str) -> None:
    service = OBSERVERS[name]
    assert re.fullmatch(r"[\w/-]+:v?\d+\.\d+\.\d+", service["image"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", ["prometheus", "alertmanager", "grafana", "collector"])
def test_everything_that_is_mounted_exists(name: str) -> None:
    assert mounts(name)
    for outside in mounts(name).values():
        assert (ROOT / outside).exists()


@pytest.mark.parametrize("name", ["prometheus", "alertmanager", "collector"])
def test_the_file_that_each_is_started_with_is_ours(name: str) -> None:
    key = "config" if name == "collector" else "config.file"
    assert isinstance(yaml.safe_load(ours(name, option(name, key)).read_text()), dict)


def test_what_is_kept_lies_on_a_volume() -> None:
    for name, key in (("prometheus", "storage.tsdb.path"), ("alertmanager", "storage.path")):
        assert f"{name}:{option(name, key)}" in OBSERVERS[name]["volumes"]


def test_prometheus_scrapes_the_services_metrics_ports_and_tells_the_alertmanager() -> None:
    config = read("deploy/prometheus/prometheus.yml")
    scraped = {
        name: found["port"] for job in config["scrape_configs"] for found in job["dns_sd_configs"] for name in found["names"]
    }
    fields = Settings.model_fields
    assert scraped == {
        "service": fields["metrics_port"].default,
        "worker": fields["worker_metrics_port"].default,
        "evals": EvalsSettings.model_fields["metrics_port"].default,
    }
    (targets,) = [found["targets"] for found in config["alerting"]["alertmanagers"][0]["static_configs"]]
    assert targets == [f"alertmanager:{published('alertmanager')[0]}"]
    for pattern in config["rule_files"]:
        assert list((ROOT / "deploy/prometheus").glob(pattern))


def test_grafanas_sources_are_the_profiles_own_services() -> None:
    sources = {s["type"]: s for s in read("deploy/grafana/provisioning/datasources/octant.yaml")["datasources"]}
    assert set(sources) == {"prometheus", "alertmanager", "jaeger"}
    for kind, source in sources.items():
        address = urlsplit(source["url"])
        assert (address.hostname, [str(address.port)]) == (kind, published(kind))
    assert sources[SOURCE.type_val]["isDefault"] is True, "the dashboards' variable takes the default one"
    assert (
        sources["prometheus"]["jsonData"]["timeInterval"] == read("deploy/prometheus/prometheus.yml")["global"]["scrape_interval"]
    )


def test_grafana_finds_the_dashboards_that_are_made_and_opens_with_the_overview() -> None:
    (provider,) = read("deploy/grafana/provisioning/dashboards/octant.yaml")["providers"]
    assert {path.name for path in ours("grafana", provider["options"]["path"]).glob("*.json")} == set(dashboard_files())
    assert provider["allowUiUpdates"] is False
    home = OBSERVERS["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert ours("grafana", home).name == "octant-overview.json"
    assert ours("grafana", "/etc/grafana/provisioning") == ROOT / "deploy/grafana/provisioning"


@pytest.mark.parametrize(("password", "code"), [("", 1), ("made-up", 0)])
def test_grafana_does_not_start_without_a_password(password: str, code: int) -> None:
    shell, flag, script = OBSERVERS["grafana"]["entrypoint"]
    here = script.replace("$$", "$").replace("exec /run.sh", "echo started")
    environment = {"GF_SECURITY_ADMIN_PASSWORD": password}
    run = subprocess.run([shell, flag, here], env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == code
    assert ("set GRAFANA_PASSWORD" in run.stderr) == (code == 1)
    assert ("started" in run.stdout) == (code == 0)
    assert OBSERVERS["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"] == "${GRAFANA_PASSWORD:-}"


def test_spans_go_from_the_service_through_the_collector_to_jaeger() -> None:
    config = read("deploy/otel/collector.yaml")
    taken = config["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    assert SERVICE_ENV["OCTANT_OTLP_ENDPOINT"] == f"http://collector:{taken.rsplit(':', 1)[1]}"
    listens = OBSERVERS["jaeger"]["command"][1]
    assert listens.startswith("receivers.otlp.protocols.http.endpoint=0.0.0.0:")
    assert config["exporters"]["otlp_http"]["endpoint"] == f"http://jaeger:{listens.rsplit(':', 1)[1]}"


def test_the_collector_limits_memory_first_and_uses_all_it_declares() -> None:
    config = read("deploy/otel/collector.yaml")
    pipeline = config["service"]["pipelines"]["traces"]
    assert pipeline["processors"] == ["memory_limiter", "batch"]
    assert config["processors"]["memory_limiter"]["limit_mib"] < int(OBSERVERS["collector"]["mem_limit"].removesuffix("m"))
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline[kind]) == set(config[kind])


def test_the_profile_sets_only_settings_that_compose_passes_on() -> None:
    assert SERVICE_ENV["OCTANT_BUDGET__ALERTMANAGER_URL"] == f"http://alertmanager:{published('alertmanager')[0]}"
    given = SERVICES["service"]["environment"]
    assert {name: given[name] for name in SERVICE_ENV} == dict.fromkeys(
        SERVICE_ENV
    )  # by name alone: as it is set, see test_compose_settings.py
    assert SERVICES["worker"]["environment"] == given
