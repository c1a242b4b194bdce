"""The runbook's pages in the console (K4)."""

import re
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import urlsplit

import pytest

from app.console.pages.runbook import answer, filled, searched
from app.console.readiness.runbook import judged
from app.console.runbook_html import html_of, html_of_section
from app.oncall.runbook.pages import Page, page_of, placeholders, read
from app.oncall.runbook.search import find
from app.oncall.runbook.twin import document

PAGES = read()
_ID, _HREF = re.compile(r' id="([^"]+)"'), re.compile(r'<a href="([^"]+)"')


def html(text: str) -> str:
    page = page_of("own.md", f"# Own\n\nReviewed: 2026-11-26\nRehearsed: not yet\nWords: none\n\n{text}")
    return str(html_of(page, [page, *PAGES]))


def test_a_text_is_never_html() -> None:
    shown = html(
        "<script>alert(1)</script>\n\n[x](javascript:alert(1)) <img src=x onerror=alert(2)>\n\n```console\n$ a '\"><b>\n```\n"
    )
    assert not re.search(r"<(script|img|b)\b", shown)
    assert "javascript:" not in "".join(_HREF.findall(shown))
    assert "<code>a &#x27;&quot;&gt;&lt;b&gt;</code>" in shown


def test_each_command_has_a_button_and_an_expected_line_none() -> None:
    shown = html("```console\n$ octant kill status\n…anthropic…\n$ curl -s \\\n  http://127.0.0.1\n```\n")
    assert re.findall(r'data-copy="([^"]+)"', shown) == ["octant kill status", "curl -s \\\n  http://127.0.0.1"]
    assert "You should see a line with <code>anthropic</code></span>" in shown


def test_an_expected_line_is_explained_in_words() -> None:
    """The dots of a page are a notation that its reader does not know."""
    shown = html("```console\n$ octant providers\nPROVIDER/…provider_…\n$ octant kill status\nNothing is stopped.\n```\n")
    assert "You should see a line with <code>PROVIDER/</code> and then <code>provider_</code>" in shown
    assert "You should see <code>Nothing is stopped.</code>" in shown
    assert "…" not in shown


def test_the_dates_are_left_to_the_head_of_the_page() -> None:
    shown = html("Text.\n")
    assert "Text." in shown
    assert not any(word in shown for word in ("Reviewed", "Rehearsed", "Words", "<h1"))


def test_a_link_to_a_file_beside_the_runbook_is_text() -> None:
    shown = html("[a](../docs/x.md) [b](rollback.md#confirm) [c](#own) [d](https://example.com)")
    assert _HREF.findall(shown) == ["/console/runbook/rollback#confirm", "#own", "https://example.com"]


def test_an_alert_s_name_leads_to_its_section() -> None:
    assert '<a href="/console/runbook/alerts#octantbreakeropen"><code>OctantBreakerOpen</code></a>' in html("`OctantBreakerOpen`")


def test_every_link_leads_to_a_section_that_is_there() -> None:
    shown = {page.name.removesuffix(".md"): str(html_of(page, PAGES)) for page in PAGES}
    titles = {page.name.removesuffix(".md"): page.sections[0].anchor for page in PAGES}  # the template's own heading has it
    ids = {name: {"", titles[name], *_ID.findall(text)} for name, text in shown.items()}
    links = [(name, href) for name, text in shown.items() for href in _HREF.findall(text) if not href.startswith("http")]
    assert len(links) > 100
    for name, href in links:
        to, _, anchor = href.removeprefix("/console/runbook/").partition("#")
        assert anchor in ids.get(to or name, ()), (name, href)


@pytest.mark.parametrize("page", [page for page in PAGES if page.is_incident], ids=lambda page: page.name)
def test_every_link_in_a_search_result_leads_to_a_section_that_is_there(page: Page) -> None:
    """A section that is shown by itself has no other section beside it."""
    ids = {one.name.removesuffix(".md"): {"", *(section.anchor for section in one.sections)} for one in PAGES}
    for section in page.sections:
        for href in _HREF.findall(str(html_of_section(section, page, PAGES))):
            to, _, anchor = href.removeprefix("/console/runbook/").partition("#")
            assert href.startswith("http") or anchor in ids.get(to, ()), (section.title, href)


def test_a_link_reads_as_the_title_of_its_page_and_never_as_a_file() -> None:
    shown = html("[contacts.md](contacts.md) [`rollback.md`](rollback.md#confirm) [their words](keys.md)")
    assert re.findall(r"<a [^>]*>(.*?)</a>", shown) == ["Providers: contacts and status pages", "Confirm", "their words"]
    whole = [str(html_of(page, PAGES)) for page in PAGES]
    assert [text for one in whole for text in re.findall(r"<a href[^>]*>(.*?)</a>", one) if ".md" in text] == []


def test_a_telephone_number_of_a_table_is_called_at_one_tap() -> None:
    """In the console and in the file that is kept on a phone."""
    text = "| our account | us |\n|---|---|\n| telephone at night | +49 30 901820-0, ask for <b> |\n| id | 4930901820 |\n"
    shown = html(text)
    assert '<td><a href="tel:+49309018200">+49 30 901820-0</a>, ask for &lt;b&gt;</td>' in shown
    assert shown.count("tel:") == 1
    page = next(one for one in PAGES if one.name == "contacts.md")
    kept = document([replace(page, text=f"{page.text}\n{text}")])
    assert (kept.count('href="tel:'), 'href="tel:+49309018200"' in kept) == (1, True)


def test_words_for_the_search_are_not_shown_but_those_of_a_sample_are() -> None:
    by_name = {page.name: page for page in PAGES}
    for name in ("keys.md", "paging.md", "latency.md"):
        assert "Words:" in by_name[name].text
        assert "Words:" not in html_of(by_name[name], PAGES)
    assert html_of(by_name["README.md"], PAGES).count("Words: outage, 503, down") == 1
    leaked = by_name["keys.md"].section("A key has leaked")
    assert leaked.words
    assert "Words:" not in html_of_section(leaked, by_name["keys.md"], PAGES)
    assert "Alerts:" in html_of_section(by_name["keys.md"].section("Many wrong keys"), by_name["keys.md"], PAGES)


@pytest.mark.parametrize(("named", "other"), [("anthropic", "openai"), ("openai", "anthropic")])
def test_the_commands_of_a_search_carry_the_provider_in_its_words(named: str, other: str) -> None:
    """And the check that another one answers carries the other."""
    (best, *_) = searched(PAGES, f"{named} times out", ("anthropic", "openai"))
    copied = re.findall(r'data-copy="([^"]+)"', " ".join(text for _, text in best.commands))
    assert any(command.startswith(f"octant kill provider {named} ") for command in copied)
    assert any(f"--provider {other} --outcome ok" in command for command in copied)


def test_a_command_that_is_not_ready_says_what_to_fill_in() -> None:
    """Without a name, or with two, no search knows which provider is at fault: a stop of the other one does harm."""
    for words in ("provider_garbled", "openai fails, anthropic answers"):
        (best, *_) = searched(PAGES, words, ("anthropic", "openai"))
        shown = dict(best.commands)["Contain"]
        assert "octant kill provider <mark>PROVIDER</mark>" in shown
        assert '<span class="note">fill in PROVIDER</span></code>' in shown
    assert "<mark>" not in html('```console\n$ kill -STOP $KEY\n$ octant kill all --reason "NOW"\n```\n')


def test_a_page_opened_from_a_search_is_filled_in_as_the_search_was() -> None:
    """Its title, and each link from it, once led to PROVIDER and "fill in"."""
    names = ("anthropic", "openai")
    found = searched(PAGES, "anthropic is failing", names)
    assert {urlsplit(one.href).query for one in found} == {"q=anthropic+is+failing"}
    linked = re.findall(r'href="(/console/runbook/[^"]+)"', " ".join(text for _, text in found[0].commands))
    assert linked
    assert {urlsplit(href).query for href in linked} == {"q=anthropic+is+failing"}
    assert any(urlsplit(href).fragment == "no-provider-is-well" for href in linked)
    page = next(one for one in PAGES if one.name == "provider-outage.md")
    shown = filled(page, PAGES, "anthropic is failing", names)
    assert "octant kill provider anthropic" in shown
    assert 'href="/console/runbook/latency?q=anthropic+is+failing"' in shown
    assert filled(page, PAGES, "a provider is failing", names) == html_of(page, PAGES)
    assert searched(PAGES, "a provider is failing", names)[0].href == "/console/runbook/provider-outage"


def test_a_page_opened_from_a_sentence_has_the_names_of_it_in_its_commands_and_its_links() -> None:
    """And begins with who the user is, before a cap is raised. A name is one word of the command, whatever it holds."""
    about = {"tenant": "acme", "user": "o'neil; reboot"}
    best = searched(PAGES, "one user is refused", ("openai",), about=about)[0]
    assert (
        best.href
        == "/console/runbook/budget-exhausted?q=one+user+is+refused&tenant=acme&user=o%27neil%3B+reboot#one-user-is-refused"
    )
    copied = [unescape(one) for one in re.findall(r'data-copy="([^"]+)"', " ".join(text for _, text in best.commands))]
    assert copied[0] == f"octant budget show acme --user {shlex.quote(about['user'])}"
    assert shlex.split(copied[-2])[:5] == ["octant", "kill", "user", "acme", about["user"]]
    assert shlex.split(copied[-1])[:6] == ["octant", "budget", "set", "acme", "--user", about["user"]]
    shown = filled(next(one for one in PAGES if one.name == "cost-spike.md"), PAGES, "", (), about={"key": "k7"})
    assert "octant key revoke k7" in shown


def test_a_provider_whose_name_is_a_word_of_the_runbook_is_no_symptom_and_a_symptom_is_not_its_name() -> None:
    """Providers are called as their operator likes."""
    names = ("slow", "valkey", "anthropic")
    for words in ("answers are slow", "valkey is away", "anthropic times out", "slow"):
        assert find(PAGES, words, names)[0][1].title == find(PAGES, words, ("anthropic",))[0][1].title
    assert searched(PAGES, "answers are slow", names)[0].href == "/console/runbook/latency"
    named = searched(PAGES, "a provider is failing", ("slow", "valkey"), about={"provider": "slow"})[0]
    assert (named.title, "octant kill provider slow" in " ".join(text for _, text in named.commands)) == (
        "A model provider is failing", True
    )  # fmt: skip


@pytest.mark.parametrize("words", ["acme", "2026-11-28", "weather in Paris tomorrow"])
def test_words_that_the_runbook_does_not_know_assert_no_page(words: str) -> None:
    found = searched(PAGES, words)
    kind, said = answer(PAGES, words, found, datetime(2026, 11, 27, tzinfo=UTC))
    assert kind != "good"
    assert "leads to" not in said
    assert not any(one.commands for one in found)


def test_words_that_say_nothing_are_answered_with_a_request_for_a_symptom() -> None:
    kind, said = answer(PAGES, "to be", searched(PAGES, "to be"), datetime(2026, 11, 27, tzinfo=UTC))
    assert (kind, said.startswith("“to be” names no symptom: write what callers see")) == ("warn", True)


@pytest.mark.parametrize("words", ["answers are slow", "OctantBreakerOpen", "valkey", "someone spends our money"])
def test_the_page_finds_what_the_command_finds(words: str) -> None:
    assert searched(PAGES, words)[0].title == find(PAGES, words)[0][1].title


def test_the_runbook_is_as_calm_as_the_readiness_review() -> None:
    """A placeholder is a gap, and a rehearsal of long ago too."""
    pages, now = read(), datetime(2026, 11, 27, 12, tzinfo=UTC)
    kind, words = answer(pages, "", [], now)
    assert (kind, judged(pages, now).state) == ("warn", "gaps")
    assert "no trial by a person who did not build it is on record" in words
    tried = "\nTried: 2026-11-27, contained in 9.5 minutes\nWords:"
    pages = [page_of(page.name, page.text.replace("\nWords:", tried, 1)) for page in pages]
    assert "still hold a placeholder" in answer(pages, "", [], now)[1]
    whole = [page for page in pages if not placeholders([page])]
    assert answer(whole, "", [], now)[0] == "good"
    assert answer(whole, "", [], now + timedelta(days=60))[0] == "warn"


def test_no_line_ends_within_an_option_of_a_sentences_command() -> None:
    page = page_of("one.md", "# One\n\nUse `octant oncall ack PAGE --for 2h` or `<b>`.\n")
    shown = html_of(page, [page])
    assert '<code>octant oncall ack PAGE <span class="nowrap">--for</span> 2h</code>' in shown
    assert "<code>&lt;b&gt;</code>" in shown
