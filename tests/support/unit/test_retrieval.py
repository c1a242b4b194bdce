"""Retrieval on the real index of the real articles."""

import time
from pathlib import Path

import pytest

from app.domain.errors import DependencyUnavailable
from app.features import recall
from app.features.support import FEATURE
from app.features.support.indexing import build
from app.features.support.retrieval import Retriever

QUERIES = recall.queries_of(FEATURE)["support-kb"]

OFF_TOPIC: tuple[str, ...] = (
    "What is the capital of France?",
    "Who won the world cup in 2014?",
    "Solve the integral of x squared",
    "asdfgh qwerty zxcvb",
    "How do I train for a marathon?",
    "Tell me a joke",
    "Wie lange dauert die Lieferung nach Wien?",
)

HOSTILE = (
    '"',
    '""" OR 1=1 --',
    "NEAR(refund, 2)",
    "title:refund* AND NOT text",
    "refund') ; DROP TABLE articles; --",
    "{title} : refund",
    "^refund + card - gift",
    "\x00refund\x00",
    "\ud800 refund",
    "😀 退款 पैसे",
    "* ( ) : ^ -",
    "",
    "refund " * 5000,
)


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> Retriever:
    return Retriever(build(tmp_path_factory.mktemp("index")).path)


def test_the_right_article_is_among_the_first_as_often_as_promised(retriever: Retriever, tmp_path: Path) -> None:
    """G2: recall over 65 questions in customers' words.

    One for nearly every article.
    """
    assert len(QUERIES.queries) == 65
    assert [least.first for least in QUERIES.least] == [1, 3]
    found = recall.measure(QUERIES, lambda question, limit: [p.article_id for p in retriever.search(question, limit)])
    assert recall.shortfalls(QUERIES, found) == []


def test_questions_that_the_shop_cannot_answer_find_nothing_or_little(retriever: Retriever) -> None:
    """G2: no evidence is a result.

    A word in common may let an article through; its answer still has to cite.
    """
    found = [question for question in OFF_TOPIC if retriever.search(question)]
    assert len(found) <= 1, found


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_any_text_can_be_searched(retriever: Retriever, text: str) -> None:
    """S3: no string of a user reaches the query language."""
    assert len(retriever.search(text, 3)) <= 3


def test_a_query_operator_in_a_question_is_only_a_word(retriever: Retriever) -> None:
    assert retriever.search("refund NOT card", 3) == retriever.search("refund card", 3)


def test_results_come_best_first_and_the_same_each_time(retriever: Retriever) -> None:
    first = retriever.search("How do I wash my down jacket?", 4)
    assert first[0].article_id == "jacket-care"
    assert [p.score for p in first] == sorted((p.score for p in first), reverse=True)
    assert retriever.search("How do I wash my down jacket?", 4) == first


def test_a_search_is_fast_enough_for_the_event_loop(retriever: Retriever) -> None:
    """Measured about a millisecond; the bound leaves room for a busy machine."""
    times = []
    for question, _ in QUERIES.queries:
        started = time.perf_counter()
        retriever.search(question)
        times.append(time.perf_counter() - started)
    assert sorted(times)[len(times) // 2] < 0.02


@pytest.mark.parametrize("content", [None, b"", b"not a database, but long enough to be read as one"])
def test_an_index_that_is_gone_or_broken_is_a_dependency_that_is_away(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "support-kb-000000000000.sqlite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DependencyUnavailable):
        Retriever(path).search("refund")
    assert content is not None or not path.exists()
