"""Ports of a demo are chosen together and held until its end."""

import os
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from conftest import ROOT

from app.domain.errors import Misconfigured
from app.stack import embedded, port_claims
from app.stack.embedded import free_port
from app.stack.port_claims import PortClaims

HOST = "127.0.0.1"


def test_a_port_that_is_wanted_twice_is_given_once() -> None:
    """Nothing listens yet, so the second choice would find the first one free."""
    wanted = free_port()
    with ExitStack() as held:
        claims = PortClaims(held)
        ports = [claims.take(HOST, wanted) for _ in range(3)]
    assert ports[0] == wanted
    assert len(set(ports)) == 3


def test_two_demos_that_want_the_same_ports_get_different_ones() -> None:
    wanted = free_port()
    program = f"""
import sys
from contextlib import ExitStack
from app.stack.port_claims import PortClaims
with ExitStack() as held:
    claims = PortClaims(held)
    print(*(claims.take("{HOST}", {wanted}) for _ in range(3)), flush=True)
    sys.stdin.read()
"""
    started = [
        subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    given: list[str] = []
    for process in started:
        assert process.stdout is not None
        given += process.stdout.readline().split()
    for process in started:
        process.communicate("")
    assert len(given) == len(set(given)) == 9


def test_a_claim_ends_with_its_demo() -> None:
    wanted = free_port()
    for _ in range(2):
        with ExitStack() as held:
            assert PortClaims(held).take(HOST, wanted) == wanted


def test_a_port_that_is_listened_on_gives_the_next() -> None:
    with closing(socket.create_server((HOST, 0))) as server, ExitStack() as held:
        taken = server.getsockname()[1]
        assert PortClaims(held).take(HOST, taken) > taken


def test_a_port_is_kept_from_other_programs_until_its_part_is_about_to_listen() -> None:
    with ExitStack() as held:
        claims = PortClaims(held)
        port = claims.take(HOST, 0, listen=True)
        with pytest.raises(OSError, match="in use"):
            socket.create_server((HOST, port))
        claims.let_go(port)
        socket.create_server((HOST, port)).close()


@pytest.mark.parametrize("planted", ["folder", "file"])
def test_a_planted_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: str) -> None:
    """Anybody may make links in the machine's temporary folder; what they lead to is this user's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place, target, wanted = tmp_path / f"octant-ports-{os.getuid()}", tmp_path / "target", free_port()
    if planted == "folder":
        target.mkdir()
        place.symlink_to(target)
    else:
        place.mkdir()
        (place / str(wanted)).symlink_to(target)
    with ExitStack() as held:
        assert PortClaims(held).take(HOST, wanted) >= wanted
    assert [path for path in (target, *target.glob("*")) if path.is_file()] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_a_folder_of_another_user_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = tmp_path / f"octant-ports-{os.getuid()}"
    place.mkdir()
    os.chown(place, 12345, 12345)
    with ExitStack() as held:
        PortClaims(held).take(HOST, 0)
    assert list(place.iterdir()) == []


def test_where_no_port_is_left_the_host_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_claims, "listening", lambda *_: None)
    with ExitStack() as held, pytest.raises(Misconfigured, match="No free port on 127"):
        PortClaims(held).take(HOST, 8080)


def test_a_free_port_is_new_and_none_that_an_outgoing_connection_may_get() -> None:
    given = [free_port() for _ in range(50)]
    assert len(set(given)) == 50
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as outgoing:
        assert max(given) < min(server.getsockname()[1], outgoing.getsockname()[1])


def test_a_port_that_is_listened_on_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        taken, free = int(server.getsockname()[1]), free_port()
        monkeypatch.setattr(embedded, "_GIVEN", set())
        drawn = iter([taken, taken, free])
        monkeypatch.setattr("app.stack.embedded.secrets.randbelow", lambda _: next(drawn) - embedded.LOWEST_PORT)
        assert free_port() == free
