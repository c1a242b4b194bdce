"""Addresses and folders that `octant serve` starts with."""

from pathlib import Path

import pytest
from gunicorn.util import parse_address

from app.domain.errors import Misconfigured
from app.domain.hosts import authority
from app.stack.serve import serve


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::", "localhost"])
def test_gunicorn_reads_each_host_as_it_was_written(host: str) -> None:
    assert parse_address(authority(host, 8080)) == (host, 8080)


def test_one_port_for_two_listeners_is_refused_before_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "METRICS_PORT"):
        monkeypatch.setenv(f"OCTANT_{name}", "18080")
    with pytest.raises(Misconfigured, match="OCTANT_METRICS_PORT must be another port"):
        serve()


def test_a_state_folder_that_cannot_be_written_to_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").write_text("a file")
    monkeypatch.setenv("OCTANT_STATE_DIR", str(tmp_path / "state"))
    for name in ("PORT", "METRICS_PORT"):
        monkeypatch.setenv(f"OCTANT_{name}", "0")
    monkeypatch.setattr("os.umask", lambda mask: mask)  # it would hold for every later test
    with pytest.raises(Misconfigured, match=r"OCTANT_STATE_DIR: .*state cannot be written to"):
        serve()
