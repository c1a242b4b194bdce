"""Answers cite shown articles only, and quote the supporting sentence."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.features.support.citations import check
from app.features.support.retrieval import Passage

SHIPPING = Passage(
    "shipping-times",
    "Shipping times",
    "Orders leave the same day.\n\nStandard shipping takes 3 to 5 business days. Express shipping takes 2 business days.",
    9.0,
)
COSTS = Passage("shipping-costs", "Shipping costs", "Standard shipping costs $5.95. It is free from $75.", 5.0)
SHOWN = (SHIPPING, COSTS)


def test_a_citation_of_a_shown_article_stays_and_is_quoted() -> None:
    checked = check("Standard delivery takes 3 to 5 days [shipping-times].", SHOWN)
    assert checked.text == "Standard delivery takes 3 to 5 days [shipping-times]."
    assert [(c.article_id, c.quote) for c in checked.citations] == [
        ("shipping-times", "Standard shipping takes 3 to 5 business days.")
    ]
    assert checked.removed == 0


def test_a_citation_of_anything_else_is_removed_and_counted() -> None:
    """G2: an article that was not shown is no source.

    However real its name sounds.
    """
    checked = check("You may keep it forever [return-forever]. Really [1x].", SHOWN)
    assert checked.text == "You may keep it forever. Really."
    assert (checked.citations, checked.removed) == ((), 2)


def test_several_citations_in_one_bracket_are_each_checked() -> None:
    checked = check("It costs $5.95 [shipping-costs, made-up; shipping-times].", SHOWN)
    assert checked.text == "It costs $5.95 [shipping-costs][shipping-times]."
    assert {c.article_id for c in checked.citations} == {"shipping-costs", "shipping-times"}
    assert checked.removed == 1


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("3〜5日です【shipping-times】。", "3〜5日です[shipping-times]。"),
        ("3〜5日です［shipping-times］。", "3〜5日です[shipping-times]。"),
        ("3至5天〔shipping-times〕。", "3至5天[shipping-times]。"),
        ("3 to 5 days 【shipping-times†L1-L3】.", "3 to 5 days [shipping-times]."),
        ("3 to 5 days [shipping\u2011times].", "3 to 5 days [shipping-times]."),
        ("3 to 5 days [ shipping-times ].", "3 to 5 days [shipping-times]."),
        ("3〜5日です[shipping-times、shipping-costs]。", "3〜5日です[shipping-times][shipping-costs]。"),
        ("من 3 إلى 5 أيام [shipping-times، shipping-costs].", "من 3 إلى 5 أيام [shipping-times][shipping-costs]."),
    ],
)
def test_brackets_commas_and_hyphens_of_other_scripts_cite_as_well(answer: str, text: str) -> None:
    """Models write those of the customer's script, and OpenAI's write 【】 in English too."""
    checked = check(answer, SHOWN)
    assert (checked.text, checked.removed) == (text, 0)
    assert checked.citations[0].article_id == "shipping-times"


@pytest.mark.parametrize("answer", ["Forever【made-up】.", "Forever 【4:0†source】.", "Forever［[x1]made-up］."])
def test_what_was_not_shown_is_no_source_in_any_brackets(answer: str) -> None:
    assert check(answer, SHOWN).text == "Forever."


@pytest.mark.parametrize("answer", ["【重要】お知らせ", "「trail-club」とは", "［注］ 〔訳〕"])
def test_brackets_of_a_script_that_name_nothing_stay(answer: str) -> None:
    assert check(answer, SHOWN).text == answer


@pytest.mark.parametrize(
    ("text", "said", "quote"),
    [
        ("送料は無料です。返品は30日以内に受け付けます。", "返品は30日以内です", "返品は30日以内に受け付けます。"),
        ("运费免费。三十天内可以退货！请联系我们。", "可以退货", "三十天内可以退货！"),
        ("भेजना मुफ़्त है। वापसी 30 दिन में होती है।", "वापसी 30 दिन", "वापसी 30 दिन में होती है।"),
    ],
)
def test_a_quote_is_one_sentence_in_scripts_without_blanks_or_stops(text: str, said: str, quote: str) -> None:
    checked = check(f"{said}[returns].", (Passage("returns", "Returns", text, 1.0),))
    assert [c.quote for c in checked.citations] == [quote]


def test_each_citation_stands_for_the_words_before_it() -> None:
    checked = check("Express takes 2 days [shipping-times]. From $75 it is free [shipping-costs][shipping-times].", SHOWN)
    assert [c.quote for c in checked.citations] == ["Express shipping takes 2 business days.", "It is free from $75."]


def test_a_source_is_listed_once() -> None:
    assert len(check("One [shipping-times]. Two [shipping-times].", SHOWN).citations) == 1


def test_links_and_other_brackets_are_left_alone() -> None:
    answer = "See [our page](https://northwind.example) [sic!] and [A]."
    assert check(answer, SHOWN).text == answer


def test_brackets_that_close_up_to_a_new_citation_are_checked_again() -> None:
    assert check("Forever [[x1]made-up].", SHOWN).text == "Forever."


@given(st.text(alphabet=st.sampled_from("ab-[](),; .\n"), max_size=60))
def test_whatever_is_written_no_unknown_citation_is_left(text: str) -> None:
    checked = check(text, SHOWN)
    assert check(checked.text, SHOWN) == checked.__class__(checked.text, (), 0)


def test_citations_nested_deep_are_taken_out_in_time_linear_in_the_answer() -> None:
    """Deep nesting: no RecursionError, and no second per level."""
    levels = 30_000
    checked = check("Yes " + "[" * levels + "aa" + "]bb" * (levels - 1) + "].", SHOWN)
    assert (checked.text, checked.removed) == ("Yes.", levels)
    assert check("[" * levels + "x y" + "]" * levels, SHOWN).removed == 0


def test_an_answer_of_marks_alone_takes_no_longer_than_one_of_letters() -> None:
    """V3: sorted in Unicode's way, these take a minute."""
    begun = time.process_time()
    assert len(check("a" + "\u0301\u0316" * 100_000 + " [shipping-times]", SHOWN).citations) == 1
    assert time.process_time() - begun < 1
