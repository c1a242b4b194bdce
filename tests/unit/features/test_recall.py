"""An index is searched for labelled queries (B6)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.errors import DependencyUnavailable, Misconfigured
from app.features import recall
from app.features.feature import BuiltIndex, Feature, Index

QUERIES = [[f"question {number}", f"doc-{number}"] for number in range(10)]


def product(search: object = None) -> tuple[Feature, Index]:
    def build(_: Path, __: str | None = None) -> BuiltIndex:
        raise AssertionError

    index = Index("lamps", str, build, str, str, search=search)  # type: ignore[arg-type] # a function
    return Feature(name="lamps", router=lambda _: None, indexes=(index,), suite="lamps"), index  # type: ignore[arg-type,return-value]


def written(folder: Path, text: str) -> Path:
    (folder / "lamps").mkdir(exist_ok=True)
    (folder / "lamps" / recall.FILE).write_text(text)
    return folder


def section(name: str = "lamps", first: int = 2, share: float = 0.8) -> str:
    return f"[{name}]\nleast = [{{ first = {first}, share = {share} }}]\nqueries = {QUERIES}\n"


@pytest.mark.parametrize(("missed", "kept"), [(0, True), (2, True), (3, False)])
def test_an_index_that_finds_too_little_is_named_with_both_shares(tmp_path: Path, missed: int, kept: bool) -> None:
    def search(path: Path, question: str, limit: int) -> Sequence[str]:
        assert (path, limit) == (Path("file"), 2)
        number = int(question.split()[1])
        return ["other", f"doc-{number}" if number >= missed else "wrong"]

    feature, index = product(search)
    found = recall.problems(feature, index, Path("file"), written(tmp_path, section()))
    assert found == (
        [] if kept else ["finds the document of 70.0% of 10 labelled queries among the first 2; 80.0% is the least."]
    )


def test_a_document_behind_the_first_so_many_does_not_count(tmp_path: Path) -> None:
    feature, index = product(lambda _, question, __: ["other", f"doc-{question.split()[1]}"])
    assert recall.problems(feature, index, Path(), written(tmp_path, section(first=1)))
    assert recall.problems(feature, index, Path(), written(tmp_path, section(first=2))) == []


def test_an_index_that_cannot_be_read_or_has_no_queries_is_refused(tmp_path: Path) -> None:
    def away(*_: object) -> Sequence[str]:
        raise DependencyUnavailable("gone")

    feature, index = product(away)
    assert "does not exist" in recall.problems(feature, index, Path(), tmp_path)[0]
    assert "no section [lamps]" in recall.problems(feature, index, Path(), written(tmp_path, section("shades")))[0]
    assert recall.problems(feature, index, Path(), written(tmp_path, section())) == ["gone"]


def test_an_index_without_a_search_is_not_checked(tmp_path: Path) -> None:
    feature, index = product()
    assert recall.problems(feature, index, Path(), tmp_path) == []
    assert recall.checks([feature, replace(feature, indexes=())]) == {}


@pytest.mark.parametrize(
    "text", ["[lamps]\nqueries = 1", "not toml", section().replace(str(QUERIES), str(QUERIES[:3])), section(share=2)]
)
def test_a_file_that_is_not_in_form_is_named(tmp_path: Path, text: str) -> None:
    feature, _ = product()
    with pytest.raises(Misconfigured, match=recall.FILE.replace(".", r"\.")):
        recall.queries_of(feature, written(tmp_path, text))
