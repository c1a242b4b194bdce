"""Gateways that users would pick instead, from their own packages: `make bench ARGS=--peers`.

Each is measured where its program is found, in the folder ``PROGRAMS`` or on the path, in the mode that its row
names. None of their packages is installed by us: `python -m benchmarks.speed.peers` prints the commands.
"""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.stack.embedded import free_port
from benchmarks.speed.measure import Plan
from benchmarks.speed.processes import Contestant

PROGRAMS = Path(".octant/peers")
KEY = f"sk-{secrets.token_urlsafe(32)}"  # LiteLLM starts with no weak one
LITELLM_CONFIG = """
model_list:
  - model_name: fast
    litellm_params: {{model: openai/gpt-6-luna, api_base: "{upstream}", api_key: {key}}}
general_settings: {{master_key: {key}}}
litellm_settings: {{telemetry: false}}
"""
TENSORZERO_CONFIG = """
[gateway]
bind_address = "127.0.0.1:{port}"
observability.enabled = false
[models.fast]
routing = ["upstream"]
[models.fast.providers.upstream]
type = "openai"
model_name = "gpt-6-luna"
api_base = "{upstream}"
api_key_location = "env::BENCHMARK_KEY"
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A gateway. ``install``: the command, or the step, that installs its ``program``."""

    name: str
    program: str
    install: str
    contestant: Callable[[str, str, Path], Contestant]

    def found(self) -> str | None:
        """The path of its program; None where it is not installed."""
        inside = (PROGRAMS / "litellm" / "bin", PROGRAMS / "node_modules" / ".bin", PROGRAMS)
        return shutil.which(self.program, path=os.pathsep.join([*(str(path.resolve()) for path in inside), os.environ["PATH"]]))


def _litellm(program: str, upstream: str, folder: Path) -> Contestant:
    port, config = free_port(), folder / "litellm.yaml"
    config.write_text(LITELLM_CONFIG.format(upstream=upstream, key=KEY), encoding="utf-8")
    command = [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    return _peer(f"LiteLLM {_version('litellm', program)}, master key, no database", command, port)


def _portkey(program: str, upstream: str, _: Path) -> Contestant:
    port = free_port()
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": upstream}
    name = f"Portkey {_node_version(program)}, without its own service"
    return _peer(name, [program, f"--port={port}", "--headless"], port, headers)


def _tensorzero(program: str, upstream: str, folder: Path) -> Contestant:
    port, config = free_port(), folder / "tensorzero.toml"
    config.write_text(TENSORZERO_CONFIG.format(upstream=upstream, port=port), encoding="utf-8")
    path = "/openai/v1/chat/completions"
    return _peer("TensorZero, observability off", [program, "--config-file", str(config)], port, path=path)


PEERS = (
    Peer(
        "LiteLLM",
        "litellm",
        f"python -m venv {PROGRAMS}/litellm && {PROGRAMS}/litellm/bin/python -m pip install 'litellm[proxy]'",
        _litellm,
    ),
    Peer("Portkey", "gateway", f"npm install --prefix {PROGRAMS} @portkey-ai/gateway", _portkey),
    Peer("TensorZero", "tensorzero-gateway", f"put its program `gateway` at {PROGRAMS}/tensorzero-gateway", _tensorzero),
)


def installed(upstream: str, folder: Path) -> tuple[list[Contestant], list[Peer]]:
    """The peers that are installed, ready to start, and those that are not. ``folder`` is for their configuration."""
    found = [(peer, peer.found()) for peer in PEERS]
    return [peer.contestant(path, upstream, folder) for peer, path in found if path], [peer for peer, path in found if not path]


def _peer(
    name: str, command: list[str], port: int, headers: Mapping[str, str] | None = None, path: str = "/v1/chat/completions"
) -> Contestant:
    sent = {"authorization": f"Bearer {KEY}", **(headers or {})}
    return Contestant(name, command, f"http://127.0.0.1:{port}{path}", sent, {"BENCHMARK_KEY": KEY}, Plan().body(stream=True))


def _version(package: str, program: str) -> str:
    python = Path(program).resolve().parent / "python"
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def _node_version(program: str) -> str:
    manifest = next(path / "package.json" for path in Path(program).resolve().parents if (path / "package.json").is_file())
    return str(json.loads(manifest.read_text(encoding="utf-8"))["version"])


if __name__ == "__main__":
    for one in PEERS:
        print(f"{one.name}: {one.found() or 'not installed'}\n  {one.install}")
