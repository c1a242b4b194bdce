"""Each deploy target goes back by its own tool's commands (B2).

Stand-ins record the commands of Docker and kubectl: there is no engine and no cluster here. The real Docker Compose resolves the
file with the image that the command sets.
"""

import json
import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import ROOT

from app.cli.code import _check_plans
from app.domain.errors import Misconfigured
from app.migrations.irreversible import Plan
from app.releases.code import Deployed
from app.settings import DeploySettings
from app.stack import runner
from app.stack.targets import IMAGE, target_of

DIGEST = "registry.example/octant@sha256:" + "a" * 64
BEFORE = Deployed(DIGEST, "0.1.0", "/srv/octant", ("0031_canaries",), "start", "w", "", datetime(2026, 11, 26, tzinfo=UTC))
COMPOSE = Path(sys.executable).with_name("docker-compose")


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs `docker` and `kubectl` that note their arguments and the image variable, a line each."""
    log, programs = tmp_path / "commands", tmp_path / "bin"
    programs.mkdir()
    for name in ("docker", "kubectl"):
        program = programs / name
        program.write_text(f'#!/bin/sh\necho "${{{IMAGE}:-}} $(basename "$0") $*" >> {log}\ntest ! -e {tmp_path}/fail\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.defpath}")
    monkeypatch.delenv(IMAGE, raising=False)
    return log


def test_compose_starts_the_services_again_with_the_image_from_before(recorded: Path) -> None:
    compose = target_of(DeploySettings(target="compose", compose_file=Path("file.yml"), services=("service", "worker")))
    compose.go(BEFORE, named=False)
    up = "docker compose -f file.yml --profile core up -d --no-build --no-deps --wait service worker"
    assert recorded.read_text() == f"{DIGEST} {up}\n"
    assert [str(command) for command in compose.commands(BEFORE, named=False)] == [f"{IMAGE}={DIGEST} {up}"]
    assert f"Set {IMAGE}={DIGEST} in .env" in compose.advice(BEFORE)


def test_the_real_compose_file_takes_the_image_that_the_command_sets(tmp_path: Path) -> None:
    (command,) = target_of(DeploySettings(target="compose", compose_file=ROOT / "docker-compose.yml")).commands(
        BEFORE, named=False
    )
    options = list(command.words[2 : command.words.index("up")])
    given = {"POSTGRES_PASSWORD": "made-up", "OCTANT_SECRET_KEY": "made-up-and-thirty-two-characters"}
    ran = subprocess.run(
        [str(COMPOSE), "--project-directory", str(tmp_path), *options, "config", "--format", "json"],
        env={"PATH": os.defpath, "HOME": str(tmp_path), **given, **command.variables},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    services = json.loads(ran.stdout)["services"]
    for name in command.words[command.words.index("--wait") + 1 :]:
        assert services[name]["image"] == DIGEST
        assert services[name]["environment"]["OCTANT_DEPLOY__CODE"] == DIGEST, "or its workers would report another code"


@pytest.mark.parametrize("named", [False, True])
def test_kubernetes_undoes_each_rollout_or_sets_a_named_image_and_waits(recorded: Path, named: bool) -> None:
    settings = DeploySettings(target="kubernetes", namespace="llm", deployments=("octant", "jobs"), patience=90)
    target_of(settings).go(BEFORE, named=named)
    back = [
        f"set image deployment/{name} *={DIGEST}" if named else f"rollout undo deployment/{name}" for name in ("octant", "jobs")
    ]
    wait = [f"rollout status deployment/{name} --timeout=90s" for name in ("octant", "jobs")]
    assert recorded.read_text().splitlines() == [f" kubectl --namespace llm {words}" for words in (*back, *wait)]


@pytest.mark.parametrize("target", ["compose", "kubernetes"])
def test_a_missing_tool_is_named_with_the_commands_to_run_elsewhere(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Misconfigured, match="not on this machine") as refused:
        target_of(DeploySettings.model_validate({"target": target})).go(BEFORE, named=False)
    lines = str(refused.value).splitlines()[1:]
    assert lines
    assert {shlex.split(line)[1 if target == "compose" else 0] for line in lines} == {
        "docker" if target == "compose" else "kubectl"
    }


def test_a_tool_that_fails_ends_the_rollback_with_its_command(recorded: Path, tmp_path: Path) -> None:
    (tmp_path / "fail").touch()
    with pytest.raises(Misconfigured, match=r"exit code 1:\n  kubectl --namespace default rollout undo"):
        target_of(DeploySettings(target="kubernetes")).go(BEFORE, named=False)
    assert len(recorded.read_text().splitlines()) == 1, "nothing is waited for after a failure"


def test_without_a_target_the_refusal_says_what_to_set() -> None:
    with pytest.raises(Misconfigured, match="OCTANT_DEPLOY__TARGET names no deploy target"):
        target_of(DeploySettings())


def test_without_a_runner_nothing_is_switched(tmp_path: Path) -> None:
    process = target_of(DeploySettings(target="process", folder=tmp_path))
    with pytest.raises(Misconfigured, match="start `octant run` there first"):
        process.go(BEFORE, named=False)
    state = {"pid": os.getpid(), "started": 0.0, "checkout": "/", "number": 1}
    (tmp_path / runner.STATE).write_text(json.dumps(state))
    with pytest.raises(Misconfigured, match="is gone"):
        process.go(BEFORE, named=False)
    with pytest.raises(Misconfigured, match="is no checkout"):
        runner.switch(tmp_path, tmp_path / "gone")
    assert not (tmp_path / runner.CURRENT).exists()


def test_code_is_not_gone_back_past_a_schema_on_which_it_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """`docs/irreversible.md` decides."""
    harmless = Plan("0033_x", "works", "which code ran", "Leave the schema.")
    _check_plans([harmless], done=False)
    assert "The schema keeps 0033_x; the earlier code works." in capsys.readouterr().out
    failing = Plan("0034_y", "fails: it writes a column that is gone", "", "Stop the jobs first.")
    with pytest.raises(Misconfigured, match=r"--plan-done:\n  0034_y: Stop the jobs first."):
        _check_plans([failing, harmless], done=False)
    _check_plans([failing, harmless], done=True)
