"""Words in the search box lead to a name in the records, to the runbook, or to calls, in that order (X1)."""

from types import SimpleNamespace
from typing import cast

import pytest

from app.console.console import Console
from app.console.known import LastKnown
from app.console.pages import search
from app.domain.errors import DependencyUnavailable, InvalidRequest

SYMPTOMS = ("the site is down", "customers get 429", "answers are not fast")


def a_console(monkeypatch: pytest.MonkeyPatch, texts: str = "none", named: str = "") -> Console:
    """A console whose records have the words in no text, in a ``prompt``, in an ``error``, or are ``slow`` or ``away``."""

    async def found_calls(*_: object, **__: object) -> list[dict[str, str]]:
        if texts == "slow":
            raise InvalidRequest("The search took more than 5 s.")
        if texts == "away":
            raise ConnectionRefusedError
        return [] if texts in ("none", "refused") else [{"id": "call_1"}]

    async def in_errors(*_: object) -> bool:
        return texts == "error"

    async def by_name(*_: object) -> str:
        return named

    async def failed(*_: object, **__: object) -> list[object]:
        if texts == "away":
            raise ConnectionRefusedError
        message = "No model 'gpt-1'. Your key may use: smart."
        return [SimpleNamespace(request_id="req_1", message=message)] if texts == "refused" else []

    fakes = {"find_calls": found_calls, "is_in_errors": in_errors, "_named": by_name, "listed": failed}
    for name, one in fakes.items():
        monkeypatch.setattr(search, name, one)
    parts = SimpleNamespace(engine=None, providers=("openai", "anthropic"))
    return cast("Console", SimpleNamespace(known=LastKnown(), parts=parts))


async def ways(console: Console, words: str) -> list[str]:
    """The addresses that are offered, without the words in them."""
    found, _ = await search.found_for(console, words)
    return [place.href.partition("=")[0] for place in found]


RUNBOOK, FAILED, CALLS = "/console/runbook?q", "/console/requests/failed?text", "/console/calls?text"


@pytest.mark.parametrize("words", SYMPTOMS)
@pytest.mark.parametrize(
    ("texts", "offered"),
    [
        ("none", [RUNBOOK]),
        ("slow", [RUNBOOK]),
        ("away", [RUNBOOK]),
        ("prompt", [RUNBOOK, CALLS]),
        ("error", [CALLS]),
    ],
)
async def test_a_symptom_leads_to_the_runbook_an_errors_text_to_its_calls(
    monkeypatch: pytest.MonkeyPatch, words: str, texts: str, offered: list[str]
) -> None:
    assert await ways(a_console(monkeypatch, texts), words) == offered


async def test_words_that_no_page_surely_fits_lead_to_the_nearest_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    for texts in ("none", "away"):
        assert await ways(a_console(monkeypatch, texts), "a user complains") == [RUNBOOK]
    assert await ways(a_console(monkeypatch, "prompt"), "a user complains") == [CALLS]


async def test_an_id_leads_to_what_it_names_or_to_the_list_of_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await ways(a_console(monkeypatch, "prompt", "/console/traces/1"), "timeout") == ["/console/traces/1"]
    assert await ways(a_console(monkeypatch), "req_4f1c2") == [CALLS]
    assert await ways(a_console(monkeypatch), "zxqv blorp") == [CALLS]
    assert await ways(a_console(monkeypatch), '"a user complains"') == [CALLS], "a quotation is of a text"


async def test_words_that_fit_nothing_while_the_records_are_away_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DependencyUnavailable, match="so no call is searched for"):
        await search.found_for(a_console(monkeypatch, "away"), "zxqv")


@pytest.mark.parametrize("words", ["gpt-1", "req_1", "No model 'gpt-1'"])
async def test_a_request_that_never_became_a_call_is_found(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """By its id, by the name in the answer's words, and by the words."""
    assert (await ways(a_console(monkeypatch, "refused"), words))[0] == FAILED
