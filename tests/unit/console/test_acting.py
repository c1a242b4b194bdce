"""An action of the console stands in the operators' log with its begin and its end, whatever fails between them (S8)."""

import ast
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from sqlalchemy.exc import OperationalError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from app.audit.actions import Action
from app.console import acting
from app.console.acting import Act, Asked, Done, perform
from app.console.console import SAID, Console, _done
from app.console.routes import ACTIONS
from app.console.sessions import Holder, Session
from app.domain.errors import DependencyUnavailable, InvalidRequest
from app.security.redaction.redactor import Redactor

SESSION = Session(uuid.uuid4(), Holder(role="operator", key_id="k1", tenant="acme"), "token")
AWAY = OperationalError("INSERT", {}, Exception("gone"))
ACTS: list[Act] = [act for made in ACTIONS for act in made(cast(Any, MagicMock()))]
WORDS = ("It is stopped.", "octant resume provider 'a b'", "/console/do/resume?scope=provider&name=a+b")


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


def asked_for(path: str, method: str = "GET", query: str = "") -> Request:
    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": query.encode()}
    return Request(scope)


async def acted(
    log: Log, came: str | Done | Exception, monkeypatch: pytest.MonkeyPatch, act: Act | None = None, back: str = ""
) -> Response:
    """Perform an action that does this."""
    act = act or Act(name="kill-all", fields=(), ask=cast(Any, None), do=cast(Any, None))

    async def ask(_: Mapping[str, str]) -> Asked:
        return Asked(title="Stop it", effect="It stops.", command="octant kill all", undo=WORDS[1], undo_at=WORDS[2])

    async def do(_: Mapping[str, str], _reason: str, _session: Session) -> str | Done:
        if isinstance(came, Exception):
            raise came
        return came

    async def form(_: Request) -> dict[str, str]:
        return {**dict.fromkeys(act.fields, "x"), "reason": "because", "back": back}

    def page(*_: object, problem: str, status: int, **_values: Any) -> Response:  # noqa: ANN401 - by template
        return PlainTextResponse(problem, status)

    monkeypatch.setattr(acting, "form_of", form)
    console = SimpleNamespace(page=page, parts=SimpleNamespace(actions=log, redactor=Redactor(b"secret")))
    request = asked_for(f"/console/do/{act.name}", "POST")
    return await perform(cast("Console", console), request, replace(act, ask=ask, do=do), SESSION)


BACKS = {
    "": "",  # of a link that names no page: the action's own
    "/console": "/console",
    "/console/oncall#pages": "/console/oncall",
    "/console/runbook/provider-outage#contain": "/console/runbook/provider-outage",
    "/console/runbook?q=anthropic+is+failing": "/console/runbook?q=anthropic+is+failing",
    "/console/runbook?q=ist+%C3%BCberlastet%3F#contain": "/console/runbook?q=ist+%C3%BCberlastet%3F",
    "/console/calls?tried=a&tried=b&range=1h": "/console/calls?tried=a&tried=b&range=1h",
    "/console/oncall/incidents/1": "/console/oncall/incidents/1",
    "/console/search?q=%22%3Cb%3E%22": "/console/search?q=%22%3Cb%3E%22",
    f"/console/runbook?q=slow&{'&'.join(f'{name}=old' for name in SAID)}": "/console/runbook?q=slow",
}


@pytest.mark.parametrize("back", BACKS, ids=lambda back: back[:60] or "none")
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
async def test_each_action_says_on_each_page_that_it_is_done_and_how_to_take_it_back(
    act: Act, back: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = await acted(Log(), WORDS[0], monkeypatch, act, back)
    way = urlsplit(answer.headers["location"])
    came = urlsplit(BACKS[back] or act.way_back(dict.fromkeys(act.fields, "x")))
    assert (way.path, way.fragment) == (came.path, ""), "the words stand at the top of the page"
    kept = parse_qsl(way.query)
    assert [one for one in kept if one[0] not in SAID] == parse_qsl(came.query)
    words, undo, undo_at = _done(asked_for(way.path, query=way.query), SESSION) or ("", "", "")
    assert (words, undo) == WORDS[:2]
    taken = urlsplit(undo_at)
    values = parse_qs(taken.query)
    assert (taken.path, values["scope"], values["name"]) == ("/console/do/resume", ["provider"], ["a b"])
    assert (values["reason"], urlsplit(values["back"][0]).path) == (["taken back"], came.path), "and comes back here, too"


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


def _asking() -> Iterator[Any]:
    """Each function that fills in the page that asks once more, with the texts that it builds it from."""
    for file in sorted(Path(acting.__file__).parent.rglob("*.py")):
        for function in ast.walk(ast.parse(file.read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            nodes = list(ast.walk(function))
            inner = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n is not function]
            if inner or not any(isinstance(n, ast.Call) and ast.unparse(n.func) == "Asked" for n in nodes):
                continue
            texts = " ".join(n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))
            yield pytest.param(texts, id=f"{file.stem}.{function.name}")


@pytest.mark.parametrize("texts", list(_asking()))
def test_a_page_that_asks_says_what_will_happen_and_not_that_it_has(texts: str) -> None:
    """At night "you have it" is read as done, and the button below it stays unpressed (X1)."""
    assert re.search(r" will\b", texts)
    assert not re.search(r"You (have|lead)|It (is over|refuses|ends|calls|gets|goes|starts)\b", texts)
