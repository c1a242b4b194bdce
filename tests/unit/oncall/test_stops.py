"""What a stop is of, what callers read of it, and which calls under way it ends (P5)."""

import asyncio
import json
from typing import Any, cast

import pytest
from pydantic import ValidationError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.domain.errors import InvalidRequest, Stopped
from app.domain.in_flight import InFlight, ended
from app.domain.routes import Target
from app.edge.errors import Dialect, render
from app.gateway.call_state import CallState
from app.gateway.recovery.final_error import final_error
from app.oncall.scopes import SCOPES, parse
from app.oncall.stops import Entry, public_message
from app.oncall.switch import KillSwitch
from app.security.redaction.pseudonyms import pseudonym_of
from app.security.redaction.redactor import Redactor
from app.settings import Settings
from app.wiring.watching import end_calls

MESSAGE = "We are back at 14:00 UTC."


def without_stores(*entries: Entry, stopped: str = "") -> KillSwitch:
    """A switch that knows these entries, and no store."""
    away = Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))
    engine = create_async_engine("postgresql+psycopg://absent@127.0.0.1:1/none", poolclass=NullPool)
    switch = KillSwitch(away, engine, file=None, fixed=parse(stopped))
    switch._adopt({entry.field: entry for entry in entries})
    return switch


def entry(scope: str, name: str, message: str = MESSAGE) -> Entry:
    at = "2026-11-26T12:00:00+00:00"
    return Entry(scope=scope, name=name, stopped=True, by="ada", reason="key of ada@example.com leaked", message=message, at=at)


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("scope", "name"),
    [("all", ""), ("tenant", "acme"), ("feature", "chat"), ("model", "smart"), ("prompt", "smart"), ("tool", "pay"),
     ("user", "acme/grace")],
)  # fmt: skip
def test_callers_read_the_operators_message_and_never_the_reason(dialect: Dialect, scope: str, name: str) -> None:
    with pytest.raises(Stopped) as refused:
        without_stores(entry(scope, name)).check(tenant="acme", user="grace", feature="chat", target="smart", tool="pay")
    status, _, body = render(refused.value, dialect, "req_1")
    assert (status, json.loads(body)["error"]["code"]) == (503, "stopped_by_operator")
    assert json.loads(body)["error"]["message"].endswith(f" stopped by an operator. {MESSAGE}")
    assert b"leaked" not in body


def test_callers_of_a_model_whose_providers_are_all_stopped_read_it_too() -> None:
    switch = without_stores(entry("provider", "openai"), entry("model", "anthropic/m", ""))
    assert switch.message_for(Target("openai", "m")) == MESSAGE
    assert switch.message_for(Target("anthropic", "m")) == ""
    assert str(final_error([], message=MESSAGE)) == f"Every provider of this model is stopped by an operator. {MESSAGE}"
    assert str(final_error([])) == "Every provider of this model is stopped by an operator."


def test_a_message_is_one_line_without_personal_data_and_not_too_long() -> None:
    redactor = Redactor(b"a secret of the tests")

    def public(message: str) -> str:
        return public_message(message, lambda text: redactor.redact(text, tenant=""))

    assert public("  back\n at\t14:00 \x1b[31m ") == "back at 14:00 [31m"
    assert "grace@example.com" not in public("Write to grace@example.com.")
    assert public("x" * 200)
    with pytest.raises(InvalidRequest, match="at most 200 characters"):
        public("x" * 201)


@pytest.mark.parametrize(
    ("stopped", "refused", "served"),
    [
        ("all", {"tenant": "acme"}, None),
        ("tenant:acme, provider:openai", {"tenant": "acme"}, {"tenant": "other"}),
        ("user:acme/grace", {"tenant": "acme", "user": "grace"}, {"tenant": "acme", "user": "ada"}),
        ("user:acme/grace", {"tenant": "acme", "user": "grace"}, {"tenant": "other", "user": "grace"}),
        ("user:acme/grace", {"tenant": "acme", "user": "grace"}, {"tenant": "acme"}),
        ("feature:support", {"tenant": "a", "feature": "support.answer"}, {"tenant": "a", "feature": "chat"}),
    ],
)
async def test_the_environment_stops_with_both_stores_away(
    stopped: str, refused: dict[str, str], served: dict[str, str] | None
) -> None:
    switch = without_stores(stopped=stopped)
    switch._known = True  # what is not stopped is then served
    with pytest.raises(Stopped):
        switch.check(**cast("Any", refused))
    if served:
        switch.check(**cast("Any", served))
    assert switch.target_stopped(Target("openai", "m")) == ("openai" in stopped)


async def test_a_worker_that_knows_no_store_refuses_as_stopped_by_the_environment() -> None:
    switch = without_stores(stopped="all")
    await switch.start()
    try:
        with pytest.raises(Stopped):
            switch.check(tenant="acme")
    finally:
        await switch.aclose()


@pytest.mark.parametrize(
    "wrong", ["everything", "all:acme", "tenant", "tenant:", "test:self-test", "acme", "user:grace", "user:/grace"]
)
def test_a_typing_error_in_the_environment_is_refused_and_no_stop(wrong: str) -> None:
    with pytest.raises(ValidationError, match="stopped"):
        Settings(stopped=wrong)


@pytest.mark.parametrize(
    ("scope", "name"),
    [("all", ""), ("tenant", "acme"), ("feature", "support"), ("feature", "support.answer"), ("prompt", "support/answer"),
     ("model", "support/answer"), ("model", "an-alias"), ("user", "acme/grace")],
)  # fmt: skip
async def test_a_stop_ends_calls_under_way_of_its_scope_alone_and_tells_why(scope: str, name: str) -> None:
    running, raised = InFlight(), []

    async def call(subject: object) -> None:
        with running.track(subject):
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                raised.append(ended())

    mine, other = _Call("acme", "support.answer", "support/answer", "an-alias"), _Call("other", "chat", "smart", "smart")
    tasks = [asyncio.create_task(call(subject)) for subject in (mine, other)]
    await asyncio.sleep(0)
    end_calls(running, scope, name, MESSAGE)
    await asyncio.sleep(0.01)
    assert [str(error) for error in raised] == [f"The call was ended by an operator. {MESSAGE}"] * (2 if scope == "all" else 1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _Call(CallState):
    """A call under way, as far as a stop looks at it."""

    def __init__(self, tenant: str, feature: str, target: str, alias: str) -> None:
        facts: Any = type("Call", (), {"feature": feature, "target": target, "identity": None})()
        facts.identity = type("Identity", (), {"tenant": type("Tenant", (), {"id": tenant})(), "user": "grace"})()
        self.call = facts
        self.pin: Any = type("Pin", (), {"prompt": None, "route": type("Route", (), {"name": alias})()})()

    def leave(self, *names: str) -> bool:
        del names
        return False


def test_every_scope_can_be_named_in_the_environment() -> None:
    text = ",".join(scope if scope == "all" else f"{scope}:x/y" for scope in SCOPES)
    assert {scope for scope, _ in parse(text)} == set(SCOPES)


def test_a_user_is_stopped_by_id_or_pseudonym_and_no_call_of_others_pays_for_it() -> None:
    asked: list[str] = []

    def name_of(tenant: str, user: str) -> str:
        asked.append(user)
        return pseudonym_of(Redactor(b"a secret of the tests"), tenant, user)

    stopped = name_of("acme", "grace")
    switch = KillSwitch(None, None, file=None, fixed=parse(f"user:acme/{stopped}"), name_of=name_of)
    asked.clear()
    switch.check(tenant="other", user="grace")
    assert asked == [], "a pseudonym is worked out for tenants with a stopped user alone"
    switch.check(tenant="acme", user="ada")
    for user in ("grace", stopped):
        assert switch.user_stopped("acme", user)
        with pytest.raises(Stopped, match="Calls of this user are stopped by an operator"):
            switch.check(tenant="acme", user=user)
    assert "grace" not in str(switch.stopped)
    assert switch.stopped_words == ("a user of acme",)
