"""Prometheus and Alertmanager beside a demo, with the rules and the routes of `deploy/`, ten times as fast.

`python -m deploy.alerting` writes both configurations into a folder and runs both programs until it is stopped, or until one of
them ends. Rules look back and wait for a tenth of their time, and wait for a quarter of a minute at least: a fault that alerts
after five minutes does so after half a minute. Thresholds stay as they are. Pages go to the service, tickets to an address on
this machine: nothing leaves it.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from deploy.rules import slos
from deploy.rules.build import rule_files, shorter

FOLDER = Path(__file__).resolve().parent
SPEED = 10
LEAST_SECONDS = 15.0  # Prometheus sees a new target only after some seconds
EVERY = "5s"
TOKEN = "OCTANT_PAGING__ALERTMANAGER_TOKEN"  # noqa: S105 - the setting's name
WAITS = ("group_wait", "group_interval", "repeat_interval")
STOP_SECONDS = 10.0
TICK = 0.2

Config = dict[str, Any]


def prometheus_config(targets: Mapping[str, str], alertmanager: str, *, every: str) -> Config:
    """Our configuration with these targets, ``host:port`` by job, and this Alertmanager; ``rules/`` is beside it."""
    config: Config = yaml.safe_load((FOLDER / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every}
    config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    config["scrape_configs"] = [{"job_name": job, "static_configs": [{"targets": [at]}]} for job, at in targets.items()]
    return config


def alertmanager_config(pages: str, tickets: str, token_file: Path, *, speed: float) -> Config:
    """Our routes with these addresses for pages and tickets, which both get the token; each wait ``speed`` times shorter."""
    config: Config = yaml.safe_load((FOLDER / "alertmanager" / "alertmanager.yml").read_text())
    for receiver in config["receivers"]:
        for hook in receiver["webhook_configs"]:
            hook["url"] = tickets if receiver["name"] == "tickets" else pages
            hook["http_config"] = {"authorization": {"credentials_file": str(token_file)}}
    for route in (config["route"], *config["route"]["routes"]):
        route.update({wait: shorter(route[wait], speed) for wait in WAITS if wait in route})
    return config


def write_rules(folder: Path, *, speed: float, least: float = LEAST_SECONDS) -> None:
    """Write the rules where `prometheus_config` looks: each time ``speed`` times shorter, a wait ``least`` seconds at least."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in rule_files(slos.read(), scale=speed, least=least).items():
        (folder / name).write_text(content)


def commands(programs: Sequence[str], folder: Path, prometheus: str, alertmanager: str) -> list[list[str]]:
    """How both programs are started on the configurations in a folder, at these addresses."""
    first, second = programs
    return [
        [
            first, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}",
            "--storage.tsdb.retention.time=1d", f"--web.listen-address={prometheus}", "--rules.alert.resend-delay=1s",
        ],
        [
            second, f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={alertmanager}", "--cluster.listen-address=",
        ],
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both until SIGTERM (exit code 0), or until one ends (1)."""
    given = _parser().parse_args(arguments)
    folder: Path = given.folder.resolve()
    write_rules(folder / "rules", speed=SPEED)
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(os.environ.get(TOKEN, ""))
    targets = dict(target.split("=", 1) for target in given.target)
    configs = {
        "prometheus.yml": prometheus_config(targets, given.alertmanager, every=EVERY),
        "alertmanager.yml": alertmanager_config(given.pages, given.tickets, token, speed=SPEED),
    }
    for name, config in configs.items():
        (folder / name).write_text(yaml.safe_dump(config))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ours = commands(given.programs, folder, given.prometheus, given.alertmanager)
    running = [subprocess.Popen(command) for command in ours]  # noqa: S603 - the demo's own
    try:
        while all(program.poll() is None for program in running):
            time.sleep(TICK)
        return 1
    finally:
        for program in running:
            program.terminate()
        for program in running:
            program.wait(STOP_SECONDS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.alerting", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--programs", nargs=2, required=True, help="Prometheus and Alertmanager")
    parser.add_argument("--folder", type=Path, required=True, help="for configurations and data")
    parser.add_argument("--prometheus", required=True, help="host:port to listen on")
    parser.add_argument("--alertmanager", required=True, help="host:port to listen on")
    parser.add_argument("--target", action="append", required=True, help="job=host:port of metrics; repeatable")
    parser.add_argument("--pages", required=True, help="the address that takes pages and the watchdog")
    parser.add_argument("--tickets", required=True, help="the address that takes tickets")
    return parser


if __name__ == "__main__":
    sys.exit(main())
