"""The operators' paths are served on their own listener alone (S8)."""

from typing import Any

import pytest

from app.domain.errors import NotFound
from app.edge.admin import HEADERS, AdminSide

PUBLIC, OWN = 8000, 9000
OPERATORS = ["/v1/admin", "/v1/admin/calls", "/console", "/console/calls", "/console/sign-in"]
CALLERS = ["/v1/messages", "/consoles", "/v1/administration", "/"]


def refused(side: AdminSide, path: str, port: int) -> bool:
    try:
        side.check({"type": "http", "path": path, "server": ("127.0.0.1", port)})
    except NotFound:
        return True
    return False


@pytest.mark.parametrize("path", OPERATORS)
def test_an_operators_path_is_served_on_the_operators_port_only(path: str) -> None:
    side = AdminSide(port=OWN)
    assert (refused(side, path, PUBLIC), refused(side, path, OWN)) == (True, False)


@pytest.mark.parametrize("path", CALLERS)
def test_a_callers_path_is_served_on_the_public_port_only(path: str) -> None:
    side = AdminSide(port=OWN)
    assert (refused(side, path, PUBLIC), refused(side, path, OWN)) == (False, True)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/version"])
def test_health_is_served_on_both_ports(path: str) -> None:
    side = AdminSide(port=OWN)
    assert not refused(side, path, PUBLIC)
    assert not refused(side, path, OWN)


@pytest.mark.parametrize("path", [*OPERATORS, *CALLERS])
def test_without_a_port_of_their_own_operators_share_the_public_one(path: str) -> None:
    assert not refused(AdminSide(), path, PUBLIC)


@pytest.mark.parametrize(("path", "names"), [*((one, set(HEADERS)) for one in OPERATORS), *((one, set()) for one in CALLERS)])
def test_strict_headers_are_on_every_operators_answer_and_no_other(path: str, names: set[str]) -> None:
    message: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}
    AdminSide().harden({"type": "http", "path": path}, message)
    assert {name.decode() for name, _ in message["headers"]} == names
