"""The tour in the console and the one for a reader are the same eight stops, in the order of the readiness review (X1)."""

import re

from conftest import ROOT

from app.console.readiness.review import CHECKS
from app.console.tour import STOPS

TEXT = (ROOT / "docs/tour.md").read_text()
PAGES = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]


def plain(text: str) -> str:
    return " ".join(text.split())


def test_the_tour_has_a_stop_for_each_question_in_their_order() -> None:
    assert [stop.axis for stop in STOPS] == [axis for axis, *_ in CHECKS]


def test_the_document_has_the_words_and_the_command_of_every_stop() -> None:
    for number, (stop, page) in enumerate(zip(STOPS, PAGES, strict=False), start=1):
        assert page.startswith(f"{number}. {stop.question}\n")
        assert stop.try_it in plain(page)
        assert f"```console\n$ {stop.command}\n```" in page


def test_the_button_of_a_stop_names_the_page_that_it_opens() -> None:
    assert [stop.place for stop in STOPS[:3]] == ["Evals", "Overview", "Game days"]
    assert all(stop.place for stop in STOPS)


def test_every_picture_is_there_is_used_and_is_small() -> None:
    folder = ROOT / "docs/images"
    used = {
        match
        for name in ("README.md", "docs/tour.md", "docs/console.md")
        for match in re.findall(r"images/([\w-]+\.png)", (ROOT / name).read_text())
    }
    assert used == {path.name for path in folder.glob("*.png")}
    assert all(path.stat().st_size < 200_000 for path in folder.glob("*.png"))
