"""A page names an operator by the key's name or the person's, and keeps what it does not know (X1)."""

import re
from pathlib import Path

import pytest

from app.console.console import TEMPLATES, templates
from app.console.operators import distinct, named

KNOWN = {"1a2b3c4d": "night shift", "8f3e": "Ada Byron"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("key:1a2b3c4d of acme in the console", "night shift (key 1a2b3c4d)"),
        ("acknowledged: X (by key:1a2b3c4d of acme)", "acknowledged: X (by night shift (key 1a2b3c4d))"),
        ("person:8f3e in the console acked", "Ada Byron acked"),
        ("key:99999999 of acme, person:0000", "key:99999999 of acme, person:0000"),
        ("root", "root"),
    ],
)
def test_an_actor_has_its_name(text: str, words: str) -> None:
    assert named(text, KNOWN) == words


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ada Byron", "Ada Byron (8f3e)"), ("ADA  BYRON", "ADA  BYRON (8f3e)"), ("\u0410da Byron", "\u0410da Byron (8f3e)"),
        ("Ada\u200b Byron", "Ada\u200b Byron (8f3e)"), ("night shift", "night shift (8f3e)"),
        ("night shift (key 1a2b3c4d)", "night shift (key 1a2b3c4d) (8f3e)"), ("os:root@host", "os:root@host (8f3e)"),
        ("Eve", "Eve"),
    ],
)  # fmt: skip
def test_a_person_who_takes_the_name_of_another_has_the_subject_behind_it(name: str, shown: str) -> None:
    """People choose what a provider calls them, and the operators' log would name another one."""
    found = distinct({"1a2b3c4d": "night shift"}, {"0a0a": "Ada Byron", "8f3e": name, "1a2b3c4d": "Mallory"})
    assert named("person:8f3e in the console", found) == shown
    assert named("key:1a2b3c4d of acme", found) == "night shift (key 1a2b3c4d)"


@pytest.mark.parametrize("part", sorted(TEMPLATES.rglob("*.html")), ids=lambda part: part.name)
def test_an_answer_names_operators_on_each_page_and_in_each_live_part(part: Path) -> None:
    """A part's macros did not see the names."""
    for imported in re.findall(r'{% import "parts/macros.html" as m.*%}', part.read_text()):
        written = templates().from_string(imported + "{{ m.answer('good', text) }}")
        assert "night shift" in written.render(text="key:1a2b3c4d of acme began", names={"1a2b3c4d": "night shift"})
