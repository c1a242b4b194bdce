"""The gate fails a product that was made worse on purpose.

The report names the failure mode.

The simulator answers by rules and reads no instruction in a prompt. It does see which tools and which passages a prompt
gives it, so that is where prompts are made worse; and a rule that only a model would follow, the one on citations, is dropped
behind the service instead.
"""

import hashlib
import http.client
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import ROOT, Simulator, key_of, own_stores, running_service
from support.evals.test_eval_gate import copy, gate, reduced

from evals.chain import newest

pytestmark = pytest.mark.whole_stack

__all__ = ["copy"]  # a fixture
GateOn = Callable[[dict[str, str], Path], "subprocess.CompletedProcess[str]"]
PROMPT = Path("support") / "prompts" / "answer" / "v2.toml"


def worse_prompt(folder: Path, change: Callable[[str], str]) -> dict[str, str]:
    """The settings of a release with a changed answer prompt."""
    shutil.copytree(ROOT / "app" / "features", folder / "features", ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    prompt = folder / "features" / PROMPT
    before = prompt.read_text()
    prompt.write_text(change(before))
    assert prompt.read_text() != before
    path, manifest = newest()
    pinned = hashlib.sha256(prompt.read_bytes()).hexdigest()
    (folder / "releases").mkdir()
    shutil.copytree(path.parent / "prices", folder / "releases" / "prices")
    manifest_text = path.read_text().replace(manifest.prompts["support/answer"].sha256, pinned)
    (folder / "releases" / path.name).write_text(manifest_text)
    return {"OCTANT_RELEASES_DIR": str(folder / "releases"), "OCTANT_PROMPTS_DIR": str(folder / "features")}


@pytest.fixture
def gate_on(stack_env: dict[str, str], database_url: str, simulator: Simulator, tmp_path: Path) -> GateOn:
    """The gate on a service of its own, with further settings and the newest release live."""

    def run(worse: dict[str, str], cwd: Path) -> "subprocess.CompletedProcess[str]":
        stores = own_stores({**stack_env, **worse, "OCTANT_WORKERS": "1"}, database_url, "worse", [newest()[0].stem])
        with stores as env, running_service(env, tmp_path / "service.log") as url:
            return gate(url, key_of(env), cwd=cwd)

    return run


@contextmanager
def without_citations(url: str) -> Iterator[str]:
    """The service without the rule on citations.

    No answer cites, and no text has a marker.
    """
    host = urlsplit(url).netloc

    class Forward(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._forward(b"")

        def do_POST(self) -> None:
            self._forward(self.rfile.read(int(self.headers["content-length"])))

        def _forward(self, body: bytes) -> None:
            connection = http.client.HTTPConnection(host, timeout=120)
            passed_on = {name: self.headers[name] for name in ("authorization", "content-type") if name in self.headers}
            connection.request(self.command, self.path, body or None, passed_on)
            answer = connection.getresponse()
            response = json.loads(answer.read())
            if "citations" in response:
                response |= {"citations": [], "answer": re.sub(r"\s?\[[a-z0-9-]+\]", "", response["answer"])}
            content = json.dumps(response).encode()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.startswith(("octant-", "x-request-id")):
                    self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        def log_message(self, *_: object) -> None:
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Forward) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.timeout(900)
def test_a_prompt_without_its_tools_is_caught_as_the_wrong_tool(tmp_path: Path, copy: Path, gate_on: GateOn) -> None:
    """E3, B4."""
    env = worse_prompt(tmp_path / "worse", lambda text: re.sub(r"tools = \[.*\]", 'tools = ["hand_over_to_human"]', text))
    run = gate_on(env, reduced(copy, "wrong_tool", "bad_argument", "pii_leak"))
    assert run.returncode == 1, run.stdout + run.stderr
    assert re.search(r"(?m)^- wrong_tool: .* passed, at least", run.stdout)
    assert "- overall: worse than the pinned run" in run.stdout
    assert "- pii_leak: " not in run.stdout


@pytest.mark.timeout(900)
def test_a_prompt_that_shows_no_articles_is_caught_as_missed_retrieval(tmp_path: Path, copy: Path, gate_on: GateOn) -> None:
    """E3, B4."""
    env = worse_prompt(tmp_path / "worse", lambda text: text.replace("$passages", "(see our help pages)"))
    run = gate_on(env, reduced(copy, "retrieval_miss", "data_exfiltration"))
    assert run.returncode == 1, run.stdout + run.stderr
    assert "- retrieval_miss: worse than the pinned run" in run.stdout
    assert "- data_exfiltration: " not in run.stdout


@pytest.mark.timeout(900)
def test_a_dropped_citation_rule_is_caught_and_named(
    service_url: str,
    api_key: str,
    simulator: Simulator,
    copy: Path,
) -> None:
    """E3: the facts are stated as before; only their support is gone."""
    with without_citations(service_url) as url:
        run = gate(url, api_key, cwd=reduced(copy, "retrieval_miss", "data_exfiltration"))
    assert run.returncode == 1, run.stdout + run.stderr
    assert "- retrieval_miss: worse than the pinned run" in run.stdout
    assert "retrieval: cites nothing" in run.stdout
    assert "- data_exfiltration: " not in run.stdout
