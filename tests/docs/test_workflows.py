"""GitHub's workflows call existing verbs, pin actions and keep secrets."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

COMMENT = ROOT / ".github" / "workflows" / "eval-comment.yml"
PATHS = sorted(ROOT.glob(".github/workflows/*.yml"))


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_hash_and_every_verb_exists(path: Any) -> None:  # noqa: ANN401 - a path
    """S9: a tag can be moved, so actions are pinned by hash.

    The version is written beside each hash.
    """
    verbs = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    workflow = yaml.safe_load(path.read_text())
    for step in steps(workflow):
        assert re.fullmatch(r"actions/[\w.-]+@[0-9a-f]{40}", step.get("uses", f"actions/none@{'0' * 40}"))
        assert set(re.findall(r"\bmake ([a-z-]+)", step.get("run", ""))) <= verbs
    pinned = re.findall(r"uses: \S+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", path.read_text(), re.MULTILINE)
    assert len(pinned) == path.read_text().count("uses: ")
    assert set(workflow["permissions"].values()) <= {"read"}
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_a_fork_runs_on_github_whatever_a_change_must_pass_here() -> None:
    """`.ci/run` and the workflow name the same verbs, with the same arguments."""
    wanted = re.findall(r"^ *stage (make .+)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert wanted
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"].values()
    commands = [step.get("run", "").removeprefix("sudo ") for job in jobs if "if" not in job for step in job["steps"]]
    assert [verb for verb in wanted if not any(run == verb or run.startswith(f"{verb} ARGS=") for run in commands)] == []


def test_jobs_without_a_condition_see_no_secret() -> None:
    """E10: forks run the same gate without one."""
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    with_secrets = {name for name, job in jobs.items() if "secrets." in yaml.safe_dump(job)}
    assert with_secrets == {"eval-live"}
    assert "head.repo.full_name == github.repository" in jobs["eval-live"]["if"]


def test_the_workflow_with_write_rights_uses_nothing_of_the_pull_request() -> None:
    workflow = yaml.safe_load(COMMENT.read_text())
    assert all("checkout" not in step.get("uses", "") for step in steps(workflow))
    assert "make " not in yaml.safe_dump(workflow["jobs"])
    assert "out/number" not in COMMENT.read_text()
    (run,) = (step["run"] for step in steps(workflow) if "run" in step)
    assert "${{" not in run  # a fork's names come as variables, which the shell does not expand again


GH = """#!/bin/sh
printf '%s\\n' "$*" >> calls
case "$*" in
  *pulls*) test "$COMMIT" = newest && echo 7 ;;
  *comments*body=@*) cp body.md posted ;;
esac
exit 0
"""


def comment(folder: Path, report: bytes, *, commit: str = "newest") -> str:
    """Run the step with a recording `gh`; return the posted text."""
    (folder / "out").mkdir()
    (folder / "out" / "comment.md").write_bytes(report)
    (folder / "gh").write_text(GH)
    (folder / "gh").chmod(0o755)
    (script,) = (step["run"] for step in steps(yaml.safe_load(COMMENT.read_text())) if "run" in step)
    about = {"REPOSITORY": "a/b", "OWNER": "fork", "BRANCH": "$(touch harm)", "COMMIT": commit, "GH_TOKEN": "none"}
    env = {"PATH": f"{folder}:{os.environ['PATH']}", **about}
    subprocess.run(["bash", "-c", script], cwd=folder, env=env, check=True, capture_output=True, timeout=120)
    assert not (folder / "harm").exists()
    return (folder / "posted").read_text() if (folder / "posted").exists() else ""


def test_a_report_of_a_fork_can_neither_mention_nor_link_nor_show_an_image(tmp_path: Path) -> None:
    hostile = b"| a | b |\n@owner #12 ![x](https://evil.example/i.png) [y](//evil.example) <img src=x> WWW.evil.example\n"
    hostile += b"[z]: //e \xff\x00"
    posted = comment(tmp_path, hostile + b"x" * 200_000)
    assert "| a | b |" in posted
    assert len(posted) < 60_000
    for harm in ("@owner", "#12", "![", "](", "://", "<img", "www.", "]:", "\0"):
        assert harm not in posted.lower()
    calls = (tmp_path / "calls").read_text()
    assert "-f head=fork:$(touch harm)" in calls
    assert "repos/a/b/issues/7/comments" in calls


def test_a_report_of_a_commit_that_no_open_pull_request_ends_with_is_posted_nowhere(tmp_path: Path) -> None:
    assert comment(tmp_path, b"text", commit="older") == ""


@pytest.mark.parametrize(
    "tool", [["zizmor", "--offline", "--no-progress", "--quiet"], ["actionlint"]], ids=["zizmor", "actionlint"]
)
def test_no_checker_of_workflows_finds_a_fault(tool: list[str]) -> None:
    """S9."""
    found = subprocess.run(
        [Path(sys.executable).parent / tool[0], *tool[1:], *map(str, PATHS)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
