"""Production refuses example values, placeholders and missing keys, with a remedy (P6)."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from fastapi import APIRouter
from typer.testing import CliRunner

from app.cli import app
from app.domain.errors import Misconfigured
from app.domain.reserved import is_reserved
from app.features.feature import Feature
from app.settings import Settings, load
from app.stack import preflight
from app.stack.preflight import problems, refuse_example_values

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_vendor_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def ready(tmp_path: Path) -> dict[str, Any]:
    """Settings that may go live."""
    rotation = yaml.safe_load((ROOT / "runbook/oncall/rotation.yaml").read_text())
    for key, person in rotation["people"].items():
        person |= {"placeholder": False, "mail": f"{key}@octant.dev", "phone": f"+49 170 {person['phone'][-4:]}000"}
    (tmp_path / "rotation.yaml").write_text(yaml.safe_dump(rotation))
    return {
        "environment": "production",
        "secret_key": "made-up-and-thirty-two-characters",
        "rotation_file": tmp_path / "rotation.yaml",
        "runbook_url": "https://octant.dev/runbook/",
        "allowed_link_hosts": frozenset({"octant.dev"}),
        "openai": {"api_key": "made-up"},
        "anthropic": {"api_key": "made-up"},
        "kill_file": tmp_path / "stop",
        "budget": {"alertmanager_url": "http://alertmanager:9093"},
        "paging": {
            "receivers": ("webhook",),
            "webhook_url": "https://pages.octant.dev/",
            "heartbeat_url": "https://checks.octant.dev/",
        },
    }


def of_settings(settings: Settings) -> list[str]:
    """The problems of the settings, without those of shipped files that hold examples: alerts, and the worked example."""
    return [
        found
        for found in problems(settings, NOW, production=True)
        if not found.startswith(("deploy/", "app/features/", "runbook/"))
    ]


def test_settings_that_may_go_live_are_not_refused(ready: dict[str, Any]) -> None:
    refuse_example_values(load(**ready))
    assert of_settings(load(**ready)) == []


def test_placeholders_and_old_pages_of_the_runbook_are_named(ready: dict[str, Any]) -> None:
    def of_runbook(now: datetime) -> list[str]:
        return [found for found in problems(load(**ready), now, production=True) if found.startswith("runbook/")]

    assert any("runbook/contacts.md:" in found and "FILL-IN" in found for found in of_runbook(NOW))
    assert not any("reviewed on" in found for found in of_runbook(NOW))
    assert any("reviewed on" in found for found in of_runbook(NOW.replace(year=2028)))


def test_the_shipped_defaults_are_refused_in_production_for_every_example_in_them() -> None:
    secret = "made-up-and-thirty-two-characters"
    with pytest.raises(Misconfigured) as refused:
        refuse_example_values(load(environment="production", secret_key=secret))
    for part in (
        "agency-one is a placeholder", "OCTANT_RUNBOOK_URL",
        "Provider openai: no key; set OCTANT_OPENAI__API_KEY", "Provider anthropic: no key", "ALERTMANAGER_URL",
    ):  # fmt: skip
        assert part in str(refused.value)
    assert secret not in str(refused.value)


@pytest.mark.parametrize("environment", ["development", "staging"])
def test_other_environments_start_with_the_defaults(environment: str) -> None:
    settings = load(environment=environment, secret_key="made-up-and-thirty-two-characters")
    refuse_example_values(settings)
    assert problems(settings, NOW, production=False) == []


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"runbook_url": "https://runbook.example.com/"}, "OCTANT_RUNBOOK_URL"),
        ({"allowed_link_hosts": frozenset({"octant.dev", "shop.test"})}, "shop.test is an example"),
        ({"openai": {"api_key": "simulator"}}, "Provider openai"),
        ({"openai": {"base_url": "http://simulator:8101/v1", "api_key": "made-up"}}, "Provider openai"),
        ({"anthropic": {"api_key": ""}}, "Provider anthropic: no key"),
        ({"kill_file": Path("/nowhere/at/all/stop")}, "does not exist"),
        ({"budget": {}}, "no alert is sent before a cap"),
        ({"budget": {"alert_webhook_url": "https://pager.example.invalid/"}}, "ALERT_WEBHOOK_URL: the address is an example"),
        ({"rotation_file": ROOT / "runbook/oncall/rotation.yaml"}, "a placeholder"),
        ({"rotation_file": Path("/nowhere/rotation.yaml")}, "OCTANT_ROTATION_FILE"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_example_value_alone_is_refused(ready: dict[str, Any], change: dict[str, Any], part: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        refuse_example_values(load(**ready | change))
    assert part in str(refused.value)


def test_neither_a_local_server_nor_a_provider_without_a_route_needs_a_key(ready: dict[str, Any]) -> None:
    local = {"openai": {"base_url": "http://127.0.0.1:8000/v1"}, "providers": {"spare": {"base_url": "https://api.spare.dev/v1"}}}
    refuse_example_values(load(**ready | local))
    assert of_settings(load(**ready | local)) == []


def test_a_key_in_a_file_is_a_key(ready: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "octant_openai__api_key").write_text("made-up\n")
    settings = load(**ready | {"openai": {}, "secrets_dir": tmp_path})
    refuse_example_values(settings)
    assert of_settings(settings) == []


def test_paging_that_is_off_or_without_an_outside_checker_is_reported(ready: dict[str, Any]) -> None:
    assert [line for line in of_settings(load(**ready | {"paging": {}})) if "no person is paged" in line]
    unchecked = ready["paging"] | {"heartbeat_url": ""}
    assert [line for line in of_settings(load(**ready | {"paging": unchecked})) if "HEARTBEAT_URL" in line]


def test_a_gap_in_the_rotation_is_reported_and_keeps_no_service_from_starting(ready: dict[str, Any]) -> None:
    rotation = yaml.safe_load(ready["rotation_file"].read_text())
    rotation["layers"]["client"][0]["from"] = "2027-01-15"
    for phase in rotation["plan"]:
        phase["levels"].pop()
    ready["rotation_file"].write_text(yaml.safe_dump(rotation))
    refuse_example_values(load(**ready))
    assert any("levels are covered" in line for line in problems(load(**ready), NOW, production=True))


def test_example_addresses_in_the_files_that_alerts_are_sent_with_are_reported(
    ready: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> list[str]:
        return [line for line in problems(load(**ready), NOW, production=True) if not line.startswith("runbook/")]

    assert any("alertmanager.yml: https://tickets.example.invalid/" in line for line in found())
    assert any("slos.toml: https://example.invalid/grafana" in line for line in found())
    for name in preflight.WITH_ADDRESSES:
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text((ROOT / name).read_text().replace("example.invalid", "octant.dev"))
    monkeypatch.setattr(preflight, "PACKAGE", tmp_path / "app")
    monkeypatch.setattr(preflight, "installed", tuple)
    assert found() == []


def test_an_example_host_of_an_installed_product_is_reported(ready: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Feature(name="shop", router=lambda _: APIRouter(), link_hosts=frozenset({"octant.dev", "shop.example"}))
    monkeypatch.setattr(preflight, "installed", lambda: (shop,))
    lines = [line for line in problems(load(**ready), NOW, production=True) if "app/features/shop" in line]
    assert len(lines) == 1
    assert "shop.example" in lines[0]


@pytest.mark.parametrize(
    ("host", "reserved"),
    [
        ("example.invalid", True), ("northwind.example", True), ("a.b.TEST.", True), ("mail.example.org", True),
        ("example.co", False), ("octant.dev", False), ("contest", False), ("testing.io", False), ("", False), ("10.0.0.1", False),
    ],
)  # fmt: skip
def test_reserved_names_are_those_of_the_rfcs(host: str, *, reserved: bool) -> None:
    assert is_reserved(host) is reserved


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_neither_the_service_nor_the_worker_starts_with_example_values(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores need not answer: the refusal comes before anything connects."""
    stores = {"DATABASE_URL": "postgresql+psycopg://x@127.0.0.1:9/x", "VALKEY_URL": "redis://127.0.0.1:9/0"}
    for name, value in {**stores, "ENVIRONMENT": "production", "SECRET_KEY": "made-up-and-thirty-two-characters"}.items():
        monkeypatch.setenv(f"OCTANT_{name}", value)
    result = CliRunner().invoke(app, [command])
    assert isinstance(result.exception, Misconfigured)
    assert "Not fit for production" in str(result.exception)


def test_the_command_lists_every_problem_and_fails() -> None:
    result = CliRunner().invoke(app, ["check", "--production"])
    assert result.exit_code == 1
    assert "OCTANT_SECRET_KEY" in result.stdout
    assert "placeholder" in result.stdout
    assert CliRunner().invoke(app, ["check"]).exit_code == 0


def test_every_sentence_names_a_setting_a_file_or_a_provider() -> None:
    """Each problem names its runbook page or document."""
    for line in problems(Settings(), NOW, production=True):
        assert line.startswith(("OCTANT_", "runbook/", "deploy/", "app/features/", "Provider ")), line
