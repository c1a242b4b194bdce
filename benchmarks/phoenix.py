"""`make phoenix`: checks that traces arrive complete at Arize Phoenix, run from its own package (O4).

The service in two workers and a job worker export to it; calls of each kind are made, then Phoenix's own API is asked for each
trace: the tree of spans, and of each attempt provider, model and tokens. Exit code 1 if anything is missing.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from app.stack.embedded import free_port
from benchmarks.products import REQUESTS
from benchmarks.service import STOP_SECONDS, break_providers, serving, set_up, stores_and_simulator

START_SECONDS, ARRIVE_SECONDS, JOB_SECONDS = 180.0, 30.0, 120.0
CALLER = "00f067aa0ba902b7"
CHAT: Mapping[str, Any] = {"model": "smart", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 64}
FAULT = {"kind": "status", "status": 401, "provider": "anthropic", "times": 1}


@dataclass(frozen=True, slots=True)
class Sample:
    """One request, and the tree its trace must be: the first word of each span's name, indented by depth.

    Of a product's request, whose tree the product knows, only its beginning is given: ``whole`` is false.
    """

    what: str
    path: str
    body: Mapping[str, Any]
    tree: Sequence[str]
    fault: bool = False
    status: int = 200
    whole: bool = True


SAMPLES = (
    Sample("chat", "/v1/chat/completions", CHAT, ("POST", " call", "  chat")),
    Sample("chat, streamed", "/v1/chat/completions", {**CHAT, "stream": True}, ("POST", " call", "  chat")),
    Sample("messages", "/v1/messages", CHAT, ("POST", " call", "  chat")),
    Sample("fallback", "/v1/chat/completions", CHAT, ("POST", " call", "  chat", "  chat"), fault=True),
    *(Sample(title, path, body, ("POST", " "), whole=False) for title, (path, body) in REQUESTS.items()),
    Sample(
        "job",
        "/v1/jobs",
        {"path": "/v1/chat/completions", "body": CHAT},
        ("POST", " process", "  POST", "   call", "    chat"),
        status=202,
    ),
)


def main() -> None:
    """Run, print, and exit with 1 if a trace is not whole."""
    parser = argparse.ArgumentParser(prog="make phoenix", description=__doc__)
    parser.add_argument("--python", default=".phoenix-venv/bin/python", help="the interpreter that has Phoenix")
    arguments = parser.parse_args()
    with _phoenix(arguments.python) as phoenix, stores_and_simulator() as (env, control):
        env |= {"OCTANT_OTLP_ENDPOINT": phoenix, "OCTANT_OTLP_CONTENT": "true", "OCTANT_WORKERS": "2"}
        env |= {"OCTANT_WORKER_METRICS_PORT": str(free_port())}
        key = set_up(env)
        with serving(env) as (url, _), _worker(env):
            sent = [(sample, _send(url, key, control, sample)) for sample in SAMPLES]
        wrong = [complaint for sample, trace in sent for complaint in _check(phoenix, sample, trace)]
    for complaint in wrong:
        print(f"  WRONG: {complaint}")
    print(f"\n{len(sent)} traces at Phoenix, {'all whole' if not wrong else f'{len(wrong)} things missing'}.")
    raise SystemExit(bool(wrong))


def _send(url: str, key: str, control: str, sample: Sample) -> str:
    """Make a request; its trace id."""
    trace = os.urandom(16).hex()
    break_providers(control, *([FAULT] if sample.fault else []))
    headers = {"authorization": f"Bearer {key}", "traceparent": f"00-{trace}-{CALLER}-01", "content-type": "application/json"}
    request = urllib.request.Request(url + sample.path, json.dumps(sample.body).encode(), headers)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
        body = answer.read()
        if answer.status != sample.status:
            raise SystemExit(f"{sample.what}: answered {answer.status}, not {sample.status}")
    if sample.status == 202:
        _await_job(f"{url}/v1/jobs/{json.loads(body)['id']}", headers)
    return trace


def _await_job(url: str, headers: Mapping[str, str]) -> None:
    """Wait until a job is done: its worker is stopped afterwards."""
    deadline = time.monotonic() + JOB_SECONDS
    while time.monotonic() < deadline:
        request = urllib.request.Request(url, headers={"authorization": headers["authorization"]})  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
            if json.loads(answer.read())["finished_at"]:
                return
        time.sleep(0.2)
    raise SystemExit("The job was not done in time.")


def _check(phoenix: str, sample: Sample, trace: str) -> list[str]:
    """Print a trace as Phoenix has it. Returns its faults."""
    spans = _spans(phoenix, trace, len(sample.tree))
    drawn = _draw(spans, CALLER, 0)
    print(f"\n{sample.what}: trace {trace}")
    complaints = []
    for depth, span in drawn:
        attributes = span["attributes"]
        facts = [str(attributes.get(name, "-")) for name in ("llm.provider", "llm.model_name", "llm.token_count.total")]
        print(f"  {'  ' * depth}{span['name']:40} {span['span_kind']:10} {span['status_code']:6} {' '.join(facts)}")
        if span["name"].startswith("chat ") and span["status_code"] != "ERROR" and "-" in facts:
            complaints.append(f"{sample.what}: provider, model or tokens of {span['name']} are {' '.join(facts)}")
    tree = [" " * depth + span["name"].split()[0] for depth, span in drawn]
    fits = tree == list(sample.tree) if sample.whole else tree[:1] == ["POST"] and len(tree) > 1
    if not fits:
        complaints.append(f"{sample.what}: the tree is {tree}, not {list(sample.tree)}")
    return complaints


def _spans(phoenix: str, trace: str, number: int) -> list[dict[str, Any]]:
    """A trace's spans by Phoenix's REST API, once they are ``number``, or those that came in time; oldest first."""
    query = urlencode({"trace_id": trace, "limit": 1000})
    deadline = time.monotonic() + ARRIVE_SECONDS
    while True:
        with urllib.request.urlopen(f"{phoenix}/v1/projects/default/spans?{query}", timeout=30) as answer:  # noqa: S310 - loopback
            found: list[dict[str, Any]] = json.loads(answer.read())["data"]
        if len(found) >= number or time.monotonic() > deadline:
            return sorted(found, key=lambda span: str(span["start_time"]))
        time.sleep(0.5)


def _draw(spans: list[dict[str, Any]], parent: str, depth: int) -> list[tuple[int, dict[str, Any]]]:
    lines: list[tuple[int, dict[str, Any]]] = []
    for span in spans:
        if span["parent_id"] == parent:
            lines += [(depth, span), *_draw(spans, span["context"]["span_id"], depth + 1)]
    return lines


@contextmanager
def _phoenix(python: str) -> Generator[str, None, None]:
    """Run Phoenix on free ports, its data in a temporary folder. Yields its address, which is its OTLP endpoint too."""
    with tempfile.TemporaryDirectory(prefix="octant-phoenix-") as folder:
        port, log = free_port(), Path(folder) / "log"
        env = {name: value for name, value in os.environ.items() if not name.startswith("OCTANT_")} | {
            "PHOENIX_PORT": str(port),
            "PHOENIX_GRPC_PORT": str(free_port()),
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_WORKING_DIR": folder,
            "PHOENIX_TELEMETRY_ENABLED": "false",
            "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
            "PHOENIX_DISABLE_AGENT_ASSISTANT": "true",
        }
        command = [python, "-m", "phoenix.server.main", "serve"]
        with log.open("wb") as out, subprocess.Popen(command, env=env, stdout=out, stderr=out) as process:
            try:
                url = f"http://127.0.0.1:{port}"
                _until_it_answers(url, process, log)
                yield url
            finally:
                process.terminate()
                process.wait(30)


def _until_it_answers(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url + "/healthz", timeout=5):  # noqa: S310 - loopback
                print(f"Phoenix answers at {url}", flush=True)
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise SystemExit(f"Phoenix did not start. Its log ends:\n{log.read_text()[-3000:]}")


@contextmanager
def _worker(env: Mapping[str, str]) -> Generator[None, None, None]:
    with subprocess.Popen([sys.executable, "-m", "app.cli", "worker"], env=env, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


if __name__ == "__main__":
    main()
