"""The README's requests work as they are pasted."""

import os
import re
import subprocess

import pytest
from conftest import ROOT

BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
REQUESTS = [request for block in BLOCKS for request in re.split(r"\n\n", block.strip())]


def test_there_are_three_requests() -> None:
    assert len(REQUESTS) == 3


@pytest.mark.parametrize("request_line", REQUESTS, ids=lambda line: line.split("localhost:8080")[1].split()[0])
def test_each_request_of_the_readme_is_answered(request_line: str, service_url: str, api_key: str) -> None:
    """`--fail` ends curl with an error for any status from 400 on."""
    command = request_line.replace("localhost:8080", service_url).replace("curl ", "curl --fail ", 1)
    env = {**os.environ, "KEY": api_key}
    run = subprocess.run(["/bin/sh", "-c", command], env=env, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "octant" in run.stdout or '"id"' in run.stdout, run.stdout
