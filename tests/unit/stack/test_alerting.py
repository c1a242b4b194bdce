"""Whether a demo evaluates alert rules: only where it takes pages, and where this machine has the programs (O6)."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.setting_groups import BudgetSettings
from app.settings import Settings
from app.stack import alerting
from app.stack.receiver import DemoReceiver
from deploy.alerting import alertmanager_config, prometheus_config, write_rules

ADDRESS = "OCTANT_BUDGET__ALERTMANAGER_URL"
SECRET = b"a secret of thirty-two bytes and more"


@pytest.fixture
def receiver() -> Iterator[DemoReceiver]:
    found = DemoReceiver(SECRET, print)
    with found.listening():
        yield found


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))


def test_without_the_programs_it_says_which_command_installs_them(
    receiver: DemoReceiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said: list[str] = []
    monkeypatch.setattr(alerting, "which", {"prometheus": "/usr/bin/prometheus"}.get)
    with alerting.beside(Settings(state_dir=tmp_path), receiver, said.append) as found:
        assert found is None
    assert (len(said), "`make tools`" in said[0]) == (1, True)
    assert ADDRESS not in os.environ


def test_it_runs_beside_a_demo_that_takes_its_own_pages_alone(
    receiver: DemoReceiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(alerting, "which", "/usr/bin/{}".format)
    elsewhere = BudgetSettings(alertmanager_url="http://alertmanager:9093")
    for settings, taken in ((Settings(state_dir=tmp_path), None), (Settings(state_dir=tmp_path, budget=elsewhere), receiver)):
        with alerting.beside(settings, taken, print) as found:
            assert found is None
    with alerting.beside(Settings(state_dir=tmp_path), receiver, print) as found:
        assert found
        assert found.prometheus != found.alertmanager
        assert os.environ[ADDRESS] == f"http://{found.alertmanager}", "alerts of caps go the same way"


def test_every_address_is_on_this_machine_and_every_wait_is_shorter(tmp_path: Path) -> None:
    """Tickets of production go to an address outside."""
    found = alertmanager_config("http://127.0.0.1:1/pages", "http://127.0.0.1:1/tickets", tmp_path / "token", speed=10)
    hooks = {receiver["name"]: receiver["webhook_configs"] for receiver in found["receivers"]}
    assert {name: [hook["url"] for hook in of] for name, of in hooks.items()} == {
        "pager": ["http://127.0.0.1:1/pages"], "watchdog": ["http://127.0.0.1:1/pages"], "tickets": ["http://127.0.0.1:1/tickets"],
    }  # fmt: skip
    assert all(hook["http_config"]["authorization"]["credentials_file"] for of in hooks.values() for hook in of)
    assert found["route"]["group_wait"] == "3000ms"
    assert [one["repeat_interval"] for one in found["route"]["routes"] if "repeat_interval" in one] == [
        "6000ms",
        "24000ms",
    ]
    config = prometheus_config({"octant": "127.0.0.1:9464"}, "127.0.0.1:9093", every="5s")
    assert config["rule_files"] == ["rules/*.yml"]
    assert [one["static_configs"][0]["targets"] for one in config["scrape_configs"]] == [["127.0.0.1:9464"]]


def test_a_rule_looks_back_a_tenth_and_waits_for_a_quarter_of_a_minute_at_least(tmp_path: Path) -> None:
    write_rules(tmp_path, speed=10)
    axes = (tmp_path / "axes.yml").read_text()
    assert "for: 15000ms" in axes, "a minute"
    assert "for: 30000ms" in axes, "five minutes"
    assert "for: 6000ms" not in axes
    assert "[30000ms]" in axes
    assert "[5m]" not in axes
