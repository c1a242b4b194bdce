"""The files that enforce the caps can be read in the console, and no others (C1)."""

import pytest

from app.budget.exposure import ENFORCED_BY, PROVEN_BY
from app.console.pages import code
from app.console.pages.code import ROOT, address, parts_of


@pytest.mark.parametrize("place", [*ENFORCED_BY, *PROVEN_BY])
def test_each_place_leads_to_its_file_and_to_the_line_of_its_name(place: str) -> None:
    file, _, name = place.partition("::")
    assert address(place) == f"/console/code/{file}" + (f"?name={name}#here" if name else "")
    text = (ROOT / file).read_text(encoding="utf-8")
    before, line, after = parts_of(text, name)
    assert before + line + after == text
    assert bool(line) == bool(name)
    assert name.rpartition(".")[2] in line


def test_a_file_that_is_not_named_or_not_here_has_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert address("app/settings.py") == ""
    monkeypatch.setattr(code, "ROOT", ROOT / "nowhere")
    assert address(ENFORCED_BY[0]) == "", "an image carries no tests"
