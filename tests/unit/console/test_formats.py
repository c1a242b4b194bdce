"""Figures as people read them."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from app.console import formats
from app.console.console import templates
from app.console.ranges import PRESETS, range_of

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (formats.usd(5_230), "$0.00523"),
        (formats.usd(51), "$0.000051"),
        (formats.usd(1), "$0.000001"),
        (formats.usd(1_800), "$0.0018"),
        (formats.usd(10_000), "$0.01"),
        (formats.usd(100_000), "$0.10"),
        (formats.usd(161_900), "$0.162"),
        (formats.usd(0.5), "$0.0000005"),
        (formats.usd(999_999_999), "$1,000"),
        (formats.charted(0.1, "$"), "$0.10"),
        (formats.charted(84.123, "ms"), "84.1"),
        (formats.charted(None, "ms"), "–"),  # noqa: RUF001 - an en dash
        (formats.usd(0), "$0"),
        (formats.usd(12_300_000), "$12.30"),
        (formats.usd(999_999), "$1.00"),
        (formats.usd(1_234_000_000), "$1,234"),
        (formats.usd(12_340_000_000), "$12.3k"),
        (formats.usd(-5_000_000), "-$5.00"),
        (formats.usd(None), "–"),  # noqa: RUF001 - an en dash
        (formats.ms(84.2), "84 ms"),
        (formats.ms(2.567), "2.57 ms"),
        (formats.ms(1204), "1.20 s"),
        (formats.ms(999.6), "1.00 s"),
        (formats.ms(200_000), "3 min 20 s"),
        (formats.seconds(0.9), "900 ms"),
        (formats.seconds(0.9994), "999 ms"),
        (formats.seconds(0), "0 ms"),
        (formats.seconds(None), "–"),  # noqa: RUF001 - an en dash
        (formats.span(timedelta(milliseconds=900)), "900 ms"),
        (formats.span(timedelta(seconds=1.2)), "1.20 s"),
        (formats.span(timedelta(hours=2, minutes=5)), "2 h 5 min"),
        (formats.span(timedelta(days=4, hours=3)), "4 d 3 h"),
        (formats.count(12_400), "12.4k"),
        (formats.count(9_999), "9,999"),
        (formats.count(12_345_678), "12.3M"),
        (formats.share(0.123), "12.3 %"),
        (formats.share(0.0004), "<0.1 %"),
        (formats.share(0.99995), ">99.9 %"),
        (formats.share(1), "100 %"),
        (formats.used(1.04), "104 %"),
        (formats.used(491_020.8), "over 10 times the cap"),
        (formats.used(None), formats.NONE),
        (formats.number(1, "call"), "1 call"),
        (formats.number(1200, "call"), "1,200 calls"),
        (formats.size(12_400), "12.4 kB"),
    ],
)
def test_figures_have_three_digits_and_a_unit(shown: str, wanted: str) -> None:
    assert shown == wanted


@given(st.integers(min_value=0, max_value=10**10))
def test_a_length_of_time_is_written_by_one_rule_from_every_unit(milliseconds: int) -> None:
    shown = formats.ms(milliseconds)
    assert formats.span(timedelta(milliseconds=milliseconds)) == formats.seconds(milliseconds / 1000) == shown
    assert shown.endswith(" ms") is (milliseconds < 1000), "milliseconds below a second, none above"


def test_no_page_writes_a_length_of_time_by_a_rule_of_its_own() -> None:
    """The ticks of a game day's axis are whole seconds."""
    files = [
        path for kind in ("py", "html") for path in (ROOT / "app" / "console").rglob(f"*.{kind}") if path.name != "formats.py"
    ]
    own = re.compile(r"(?:\.\d+f[}\"']?|digits\([^)]*\)\}) m?s\b|\* 1000\)\|ms")
    assert [own.findall('{x:.2f} s {digits(x)} s "%.1f s" (x * 1000)|ms {x:.1f} minutes')] == [
        [".2f} s", "digits(x)} s", ".1f s", "* 1000)|ms"]
    ]
    assert {path.name: found for path in files if (found := own.findall(path.read_text()))} == {}
    assert len(files) > 50


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15))
def test_no_figure_is_written_with_an_exponent_or_fails(value: float) -> None:
    for shown in (formats.digits(value), formats.count(value), formats.ms(value), formats.usd(value), formats.size(abs(value))):
        assert "e" not in shown.replace("second", "")
        assert shown


@given(st.dictionaries(st.sampled_from(["range", "since", "until"]), st.text(max_size=30)))
def test_any_address_has_a_range_or_a_default_and_an_error(query: dict[str, str]) -> None:
    found = range_of(query, now=NOW)
    assert found.since < found.until
    assert found.preset in PRESETS or not found.error
    again = range_of(found.query, now=NOW)
    assert not again.error


def test_a_range_has_at_most_ninety_steps() -> None:
    for preset in PRESETS:
        found = range_of({"range": preset}, now=NOW)
        assert 30 <= (found.until - found.since) / found.width <= 180


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/156.0.0.0 Safari/537.36", "Chrome 156, Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/156.0 Safari/537.36 Edg/156.0", "Edge 156, Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile/15E148 Safari/604.1", "Safari 19, iPhone"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox 140, macOS"),
        ("curl/8.0", "curl/8.0"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_browser_is_named_in_short(named: str, shown: str) -> None:
    assert formats.browser(named) == shown


def test_backticks_are_code_and_all_else_is_text() -> None:
    words = templates().filters["words"]
    assert words("`octant <b>` & `x`") == "<code>octant &lt;b&gt;</code> &amp; <code>x</code>"
    assert words("one ` <i>") == "one ` &lt;i&gt;"


def test_a_place_in_the_code_breaks_between_its_words_alone() -> None:
    shown = templates().from_string("{{ place|path }}").render(place="tests/a_b.py::test_<it>")
    assert shown == "tests/<wbr>a_<wbr>b.py::<wbr>test_<wbr>&lt;it&gt;"


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("$5.00: the cap of acme. In a night at most $10.00.", "$5.00: the cap of acme."),
        ("At the next 3 a.m. (Tuesday): Ada; a test page came.", "At the next 3 a.m. (Tuesday): Ada;"),
        ("Not known.", "Not known."),
    ],
)
def test_the_first_sentence_of_an_answer_is_a_part_of_its_own(text: str, first: str) -> None:
    assert formats.lead(text) == (first, text.removeprefix(first))


def test_a_long_answer_is_one_sentence_and_a_rest_to_fold() -> None:
    short = "All is well; 3 keys work. None is old."
    assert formats.verdict(short) == (short, "")
    more = "it was rehearsed 3 d ago, " + "and so on, " * 20
    assert formats.verdict(f"A rollback took 840 ms; {more}.") == ("A rollback took 840 ms.", f"I{more[1:]}.".strip())
    assert formats.verdict(f"To mend: 6 of 46; 1 of 2. All else holds. {more}")[0] == "To mend: 6 of 46; 1 of 2."


@pytest.mark.parametrize(
    ("share", "words"), [(None, formats.NONE), (0.0004, "0 points"), (-0.0004, "0 points"), (0.242, "+24.2 points")]
)
def test_a_difference_of_shares_that_rounds_to_none_has_no_sign(share: float | None, words: str) -> None:
    assert formats.points(share) == words


def test_a_code_has_its_words_beside_it_once() -> None:
    said = "14 calls failed: 12 deadline_exceeded, 2 last_resort; most often deadline_exceeded."
    assert formats.plain(said) == (
        "14 calls failed: 12 deadline_exceeded (no answer came in time),"
        " 2 last_resort (a product's fixed answer, as no model answered); most often deadline_exceeded."
    )
    for kept in ("its answers do not fit their schema (output_invalid)", "octant_last_resorts_total", "no_last_resort"):
        assert formats.plain(kept) == kept
