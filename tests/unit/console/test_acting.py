"""An action of the console stands in the operators' log with its begin and its end, whatever fails between them (S8)."""

import uuid
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy.exc import OperationalError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from app.audit.actions import Action
from app.console import acting
from app.console.acting import Act, Asked, Done, perform
from app.console.console import Console
from app.console.sessions import Holder, Session
from app.domain.errors import DependencyUnavailable, InvalidRequest
from app.security.redaction.redactor import Redactor

SESSION = Session(uuid.uuid4(), Holder(role="operator", key_id="k1", tenant="acme"), "token")
AWAY = OperationalError("INSERT", {}, Exception("gone"))


class Log:
    """The operators' log: the file, and Postgres, which answers the first ``times`` writes alone."""

    def __init__(self, times: int = 9) -> None:
        self.left, self.rows, self.noted = times, list[str](), list[str]()

    async def write(self, action: Action) -> None:
        if not self.left:
            raise AWAY
        self.left -= 1
        self.rows.append(action.outcome)

    def note(self, action: Action) -> None:
        self.noted.append(action.outcome)


async def acted(log: Log, came: str | Done | Exception, monkeypatch: pytest.MonkeyPatch) -> Response:
    """Perform an action that does this."""

    async def ask(_: Mapping[str, str]) -> Asked:
        return Asked(title="Stop it", effect="It stops.", command="octant kill all")

    async def do(_: Mapping[str, str], _reason: str, _session: Session) -> str | Done:
        if isinstance(came, Exception):
            raise came
        return came

    async def form(_: Request) -> dict[str, str]:
        return {"reason": "because"}

    def page(*_: object, problem: str, status: int, **_values: Any) -> Response:  # noqa: ANN401 - by template
        return PlainTextResponse(problem, status)

    monkeypatch.setattr(acting, "form_of", form)
    console = SimpleNamespace(page=page, parts=SimpleNamespace(actions=log, redactor=Redactor(b"secret")))
    request = Request({"type": "http", "method": "POST", "path": "/console/do/kill-all", "headers": [], "query_string": b""})
    return await perform(cast("Console", console), request, Act(name="kill-all", fields=(), ask=ask, do=do), SESSION)


async def test_what_is_done_is_said_to_be_done_though_its_end_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(times=1)
    answer = await acted(log, "Everything is stopped.", monkeypatch)
    assert answer.status_code == 303
    assert "Everything+is+stopped." in answer.headers["location"]
    assert "operators%27+log" in answer.headers["location"], "it says what the log lacks"
    assert (log.rows, log.noted) == (["begun"], ["ok"])


async def test_what_is_refused_is_said_to_be_refused_though_its_end_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(times=1)
    answer = await acted(log, InvalidRequest("It is stopped already."), monkeypatch)
    assert (answer.status_code, bytes(answer.body)) == (409, b"It is stopped already.")
    assert (log.rows, log.noted) == (["begun"], ["invalid_request"])


@pytest.mark.parametrize("error", [AWAY, ConnectionResetError("gone"), RuntimeError("a bug")])
async def test_an_action_that_breaks_off_has_an_end_in_the_log(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    with pytest.raises(type(error)):
        await acted(log, error, monkeypatch)
    assert log.rows == ["begun", type(error).__name__]


async def test_nothing_is_done_whose_begin_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(times=0)
    with pytest.raises(DependencyUnavailable, match="so the console does nothing"):
        await acted(log, AssertionError("it was done"), monkeypatch)
    assert (log.rows, log.noted) == ([], [])
