"""GitHub's workflows call verbs that exist, pin what they use, and give no secret to a fork."""

import re
from typing import Any

import pytest
import yaml
from conftest import ROOT

PATHS = sorted(ROOT.glob(".github/workflows/*.yml"))


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_version_and_every_verb_exists(path: Any) -> None:  # noqa: ANN401 - a path
    """S9."""
    verbs = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    workflow = yaml.safe_load(path.read_text())
    for step in steps(workflow):
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@(v\d+\.\d+\.\d+|[0-9a-f]{40})", step.get("uses", "a/b@v1.0.0"))
        assert set(re.findall(r"\bmake ([a-z-]+)", step.get("run", ""))) <= verbs
    assert workflow["permissions"]
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_a_fork_runs_on_github_whatever_a_change_must_pass_here() -> None:
    """`.ci/run` and the workflow name the same verbs, with the same arguments."""
    wanted = re.findall(r"^stage (make .+)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"].values()
    told = [step.get("run", "").removeprefix("sudo ") for job in jobs if "if" not in job for step in job["steps"]]
    assert [verb for verb in wanted if not any(run == verb or run.startswith(f"{verb} ARGS=") for run in told)] == []


def test_jobs_without_a_condition_see_no_secret() -> None:
    """E10: forks run the same gate without one."""
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    with_secrets = {name for name, job in jobs.items() if "secrets." in yaml.safe_dump(job)}
    assert with_secrets == {"eval-live"}
    assert "head.repo.full_name == github.repository" in jobs["eval-live"]["if"]


def test_the_workflow_that_may_write_runs_nothing_of_the_pull_request() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "eval-comment.yml").read_text())
    assert all("checkout" not in step.get("uses", "") for step in steps(workflow))
    assert "make " not in yaml.safe_dump(workflow["jobs"])
