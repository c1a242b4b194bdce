"""`make clients` writes down every host that a client tries to reach."""

import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from clients import isolation
from clients.environment import environment


def test_the_proxy_refuses_and_records_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(isolation.INSIDE, raising=False)
    with isolation.watched() as recorder:
        proxy = f"http://127.0.0.1:{recorder.port}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
        for url in ("http://plain.invalid/path", "https://secret.invalid/path"):
            with pytest.raises(urllib.error.URLError) as refused:
                opener.open(url, timeout=120)
            if isinstance(refused.value, urllib.error.HTTPError):
                refused.value.close()  # it holds the connection
        assert recorder.taken() == ["plain.invalid", "secret.invalid"]
        assert recorder.taken() == []


def test_the_name_service_knows_no_name_and_records_each(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = isolation.Recorder(0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as names, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        names.bind(("127.0.0.1", 0))
        client.settimeout(10)
        question = b"\x03api\x07example\x00\x00\x01\x00\x01"
        client.sendto(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + question, names.getsockname())
        isolation.answer(names, recorder)
        answer = client.recv(512)
    assert recorder.taken() == ["api.example"]
    assert answer[:2] == b"\x12\x34"
    assert answer[3] & 0x0F == 3  # NXDOMAIN


def test_a_client_gets_no_variable_but_the_named_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "PYTHONPATH", "GITHUB_TOKEN"):
        monkeypatch.setenv(name, "of the developer")
    found = environment(tmp_path, 9, {"OCTANT_URL": "http://127.0.0.1:1"})
    assert "of the developer" not in found.values()
    assert (found["HTTPS_PROXY"], found["HOME"], found["DO_NOT_TRACK"]) == ("http://127.0.0.1:9", str(tmp_path), "1")
