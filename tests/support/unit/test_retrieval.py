"""Retrieval on the real index of the real articles."""

import time
from pathlib import Path

import pytest

from app.domain.errors import DependencyUnavailable
from app.features.support.indexing import build
from app.features.support.retrieval import Retriever

# Questions in customers' words, and the article that answers each. Written before retrieval was tuned.
QUESTIONS: tuple[tuple[str, str], ...] = (
    ("How long does a refund take to reach my card?", "refund-times"),
    ("when will i get my money back", "refund-times"),
    ("How long do I have to return boots?", "returns-policy"),
    ("what's your return policy", "returns-policy"),
    ("How do I send something back?", "return-how-to"),
    ("Where do I print the return label?", "return-how-to"),
    ("Can I return an opened water filter?", "return-exclusions"),
    ("It's been 40 days, can I still return this?", "late-returns"),
    ("My aunt gave me a jacket as a gift and I want to return it", "gift-returns"),
    ("I need a different size, how does an exchange work?", "exchanges"),
    ("Do you give the shipping fee back when I return something?", "refund-amounts"),
    ("When will my package arrive with standard shipping?", "shipping-times"),
    ("How much is express shipping?", "shipping-costs"),
    ("Is there free shipping?", "shipping-costs"),
    ("Do you deliver to Hawaii?", "shipping-alaska-hawaii"),
    ("Do you ship to Germany?", "shipping-international"),
    ("Will I pay import duties in Canada?", "customs-duties"),
    ("Can you send bear spray by overnight?", "shipping-restrictions"),
    ("What does the status processing mean?", "order-tracking"),
    ("My parcel says delivered but I never got it", "missing-parcel"),
    ("The tent arrived with a ripped floor", "damaged-on-arrival"),
    ("You sent me the wrong item", "wrong-item-received"),
    ("I typed the wrong address, can you change it?", "address-change"),
    ("Can I add a pair of socks to my order?", "order-changes"),
    ("Can I cancel my order?", "order-cancellation"),
    ("How do pre-orders work?", "preorders-backorders"),
    ("How long do you hold an order for pickup in the Denver store?", "store-pickup"),
    ("Which credit cards do you accept?", "payment-methods"),
    ("Why was my card declined?", "payment-declined"),
    ("Can I pay in four installments?", "instalments-trailpay"),
    ("There is a pending charge on my statement", "when-charged"),
    ("I need an invoice with our company name", "invoices-sales-tax"),
    ("My promo code is not working", "promo-codes"),
    ("The price went down a week after I bought it", "price-adjustment"),
    ("Is there a student discount?", "discounts-student-military"),
    ("Do gift cards expire?", "gift-cards"),
    ("I lost my gift card", "gift-card-lost"),
    ("How do I become a Summit member?", "trail-club"),
    ("When do my points expire?", "trail-club-points"),
    ("I forgot my password", "account-password"),
    ("Somebody signed in to my account from a new device", "account-security"),
    ("How do I delete my account?", "account-deletion"),
    ("I want a copy of all my personal data", "data-rights"),
    ("unsubscribe me from the newsletter", "marketing-and-cookies"),
    ("How long is the warranty?", "warranty"),
    ("How do I make a warranty claim?", "warranty-claims"),
    ("What does it cost to replace a zipper?", "repairs"),
    ("Which tent for two people and a dog?", "tent-sizes"),
    ("My tent smells of mould, how do I clean it?", "tent-care"),
    ("Do your boots run small?", "boot-sizing"),
    ("How do I waterproof leather boots?", "boot-care"),
    ("What size jacket for a 40 inch chest?", "jacket-sizing"),
    ("How do I wash my down jacket?", "jacket-care"),
    ("Which gas canister fits my stove?", "stove-fuel"),
    ("Can I cook inside my tent?", "stove-safety"),
    ("How warm is the Larch 25?", "sleeping-bag-ratings"),
    ("Can I put my sleeping bag in the washing machine?", "sleeping-bag-care"),
    ("How do I measure my back for a backpack?", "backpack-fit"),
    ("My water filter froze last night", "water-filters"),
    ("Is the Ember 2 stove being recalled?", "safety-notice-ember-2"),
    ("My headlamp battery gets hot when charging", "safety-notice-beacon-400"),
    ("We want 30 jackets with our logo", "business-orders"),
    ("Where can I recycle empty gas canisters?", "recycling-trade-in"),
    ("What are your opening hours and phone number?", "contact-hours"),
    ("I got a text message asking me to pay a customs fee", "phishing-and-fraud"),
)

OFF_TOPIC: tuple[str, ...] = (
    "What is the capital of France?",
    "Who won the world cup in 2014?",
    "Solve the integral of x squared",
    "asdfgh qwerty zxcvb",
    "How do I train for a marathon?",
    "Tell me a joke",
    "Wie lange dauert die Lieferung nach Wien?",
)

RECALL_AT_3_FLOOR = 0.92  # measured 64 of 65
RECALL_AT_1_FLOOR = 0.78  # measured 55 of 65
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


def recall(retriever: Retriever, at: int) -> float:
    found = sum(expected in {p.article_id for p in retriever.search(question, at)} for question, expected in QUESTIONS)
    return found / len(QUESTIONS)


def test_the_right_article_is_among_the_first_three(retriever: Retriever) -> None:
    """G2: recall@3 over 65 questions in customers' words.

    One for nearly every article.
    """
    assert recall(retriever, 3) >= RECALL_AT_3_FLOOR


def test_the_right_article_is_mostly_the_first(retriever: Retriever) -> None:
    assert recall(retriever, 1) >= RECALL_AT_1_FLOOR


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
    for question, _ in QUESTIONS:
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
