"""A page names an operator by the key's name or the person's, and keeps what it does not know (X1)."""

import re
from pathlib import Path

import pytest

from app.console.console import TEMPLATES, templates
from app.console.operators import named

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


@pytest.mark.parametrize("part", sorted(TEMPLATES.rglob("*.html")), ids=lambda part: part.name)
def test_an_answer_names_operators_on_each_page_and_in_each_live_part(part: Path) -> None:
    """A part's macros did not see the names."""
    for imported in re.findall(r'{% import "parts/macros.html" as m.*%}', part.read_text()):
        written = templates().from_string(imported + "{{ m.answer('good', text) }}")
        assert "night shift" in written.render(text="key:1a2b3c4d of acme began", names={"1a2b3c4d": "night shift"})
