"""A command of the runbook has the button of the action that does the same, and no other command has one (X1, K1)."""

import shlex
from typing import Any, cast
from unittest.mock import MagicMock
from urllib.parse import parse_qs, urlsplit

import pytest
from commands import every_command
from typer.main import get_command

from app.cli import app as cli
from app.console.acting import Act
from app.console.commanded import Button, Commanded, buttons_in, is_whole
from app.console.routes import ACTIONS
from app.console.runbook_html import html_of
from app.oncall.runbook.pages import read
from app.oncall.runbook.twin import document

ACTS: list[Act] = [act for made in ACTIONS for act in made(cast(Any, MagicMock()))]  # nothing here is asked or done
COMMANDED = Commanded(ACTS)


def led(button: Button | None) -> tuple[str, str, dict[str, str]]:
    """A button's words, the action, and its values."""
    assert button
    at = urlsplit(button.href)
    return button.words, at.path.removeprefix("/console/do/"), {name: each[0] for name, each in parse_qs(at.query).items()}


@pytest.mark.parametrize(
    ("command", "words", "action", "values"),
    [
        ('octant kill all --reason "harm"', "Stop everything…", "kill-all", {"reason": "harm"}),
        ('octant kill all --reason "describe it in five words" --in-flight', "Stop everything, in flight…", "kill-all",
         {"in_flight": "1"}),
        ('octant kill provider openai --reason "slow"', "Stop provider openai…", "kill-provider",
         {"name": "openai", "reason": "slow"}),
        ('octant kill model PROVIDER/MODEL --reason "…"', "Stop model…", "kill-model", {"fill": "name"}),
        ('octant kill model openai/MODEL --reason "…"', "Stop model…", "kill-model", {"fill": "name"}),
        ("octant resume tenant acme", "Resume tenant acme…", "resume", {"scope": "tenant", "name": "acme"}),
        ('octant rollback --to 2026-11-28 --reason "that one"', "Roll back…", "rollback",
         {"to": "2026-11-28", "reason": "that one"}),
        ("octant budget set acme --user USER --user-day 2", "Set caps acme…", "budget-set",
         {"tenant": "acme", "user_day": "2", "fill": "user"}),
        ("octant key revoke 1a2b", "Revoke key 1a2b…", "key-revoke", {"key": "1a2b"}),
        ("octant oncall ack 15fb", "Acknowledge 15fb…", "oncall-ack", {"page": "15fb"}),
        ("octant oncall page --test", "Send a test page…", "oncall-page", {}),
        ("octant oncall page resolve 15fb", "Resolve 15fb…", "oncall-page-resolve", {"page": "15fb"}),
        ("octant release activate 2026-11-28 --force --reason x", "Activate release by force 2026-11-28…",
         "release-activate-force", {"release": "2026-11-28", "reason": "x"}),
        ('octant incident note "a sample"', "Add a note…", "incident-note", {}),
        ('octant incident close --on 3 --runbook jobs.md --change "says it"', "Close the incident…", "incident-close",
         {"on": "3", "runbook": "jobs.md"}),
    ],
)  # fmt: skip
def test_a_command_leads_to_its_action_with_its_values(command: str, words: str, action: str, values: dict[str, str]) -> None:
    assert led(COMMANDED.button(command)) == (words, action, values)


@pytest.mark.parametrize(
    "command",
    [
        "octant calls --since 5m", "octant kill status", "octant key list acme", "octant oncall page list", "octant resume",
        "octant rollback --code --reason x", "octant budget set acme --key k --concurrency 2", "octant kill provider a b",
        "curl -s http://127.0.0.1:8080/readyz", "octant kill provider 'an open quote",
    ],
)  # fmt: skip
def test_a_command_that_no_action_does_has_no_button(command: str) -> None:
    assert COMMANDED.button(command) is None


def test_known_words_are_filled_in_and_the_page_is_come_back_to() -> None:
    command = "octant kill model PROVIDER/MODEL --reason x"
    button = COMMANDED.button(command, {"PROVIDER": "openai", "MODEL": "gpt"}, back="/console/oncall/incidents/1")
    assert led(button)[2] == {"name": "openai/gpt", "reason": "x", "back": "/console/oncall/incidents/1"}


def test_each_action_of_a_command_has_a_button_beside_it() -> None:
    """A new action has its buttons by itself: its command, written with words in capitals, leads to it."""
    known = {name for name, _ in every_command(get_command(cli))}
    for act in ACTS:
        words = [word for word in act.command.split() if not word.startswith("--")]
        if " ".join(words) not in known:
            continue
        blanks = {"scope": "tenant"}
        typed = ["octant", *act.command.split(), *(blanks.get(name, "VALUE") for name in act.arguments)]
        assert led(COMMANDED.button(shlex.join(typed)))[1] == act.name, act.name


def test_the_buttons_stand_below_their_commands_and_the_saved_runbook_has_none() -> None:
    pages = read()
    page = next(one for one in pages if one.name == "provider-outage.md")
    html = html_of(page, pages, COMMANDED.button)
    assert html.count("/console/do/kill-provider?") == 1
    after = html.partition('data-copy="octant kill provider PROVIDER')[2]
    assert after.index("/console/do/kill-provider?") < after.index("</div>"), "in the block of its command"
    assert "/console/do/kill-all?" in html, "of a command in a sentence"
    assert "/console/do/" not in html_of(page, pages)
    assert "/console/do/" not in document(pages)
    assert [one.words for one in buttons_in(page.section("Contain").text, COMMANDED.button)] == ["Stop provider…"]


def test_the_name_of_a_command_in_a_sentence_is_no_button() -> None:
    assert not is_whole("octant rollback")
    assert not is_whole("octant kill all")
    assert is_whole("octant rollback --model ALIAS")
    assert is_whole("octant oncall ack PAGE")
