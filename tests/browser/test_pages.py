"""The console's pages in Chromium: accessible, complete by keyboard, at both widths and themes, without an error (X2a)."""

import http.server
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from conftest import LIVE_RELEASE, ROOT, octant
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, Route, sync_playwright
from sqlalchemy import create_engine, delete, insert, select, text
from tools import tool

from app.audit.scores import eval_candidates
from app.console import formats
from app.console.navigation import PAGES
from app.console.readiness.answers import Answer, Evidence
from app.console.readiness.document import BROWSERS, document, print_pdf
from app.oncall.gamedays import Line, playing
from app.oncall.paging.tables import pages
from app.oncall.runbook.pages import FOLDER as RUNBOOK
from app.releases.evaluations import eval_results, eval_runs
from app.stack.gameday import report, scenario
from app.stack.gameday.page import Followed
from app.stack.gameday.play import Judged, Outcome

pytestmark = [pytest.mark.whole_stack, pytest.mark.timeout(600)]

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WIDTHS = {"desktop": (1440, 900), "phone": (390, 844)}
REFUSED = "status of 409"  # how Chromium itself reports an action that the service refused
UNPROVEN = "2026-11-22"  # a manifest without eval results beside it
PATIENCE = 120_000.0  # ms: a machine that others use may take this for a page; nothing here measures speed
MOST_SHIFT = 0.02  # of web.dev's measure of cumulative layout shift, by which 0.1 is "good"
BEHIND = (
    "/console/budgets/acme", "/console/budgets/acme/user?id=ada", "/console/evals/production", "/console/evals/candidates",
    "/console/evals/cases/support/card-not-echoed",
    f"/console/releases/{LIVE_RELEASE}", f"/console/releases/2026-11-24/diff?to={LIVE_RELEASE}",
    "/console/runbook/provider-outage", "/console/runbook?q=openai+is+down", "/console/search?q=latency",
    "/console/do/kill-tenant?name=acme", "/console/do/kill-provider?fill=name",
    "/console/do/drill-gameday?scenario=provider-outage",
    *(f"/console/security?tab={name}" for name in ("flags", "keys", "log", "sessions", "packages")),
    "/console/security?risk=LLM01",
    *(f"/console/releases?tab={name}" for name in ("history", "canary", "all", "stops")),
    "/console/requests", "/console/stop",
)  # fmt: skip
SHIFTS = """
window.shifts = 0; window.shifted = [];
const named = (node) => node?.outerHTML?.slice(0, 80) ?? node?.nodeValue;
new PerformanceObserver((list) => { for (const one of list.getEntries()) if (!one.hadRecentInput) {
  window.shifts += one.value; window.shifted.push(...one.sources.map((source) => named(source.node)));
} })
  .observe({type: "layout-shift", buffered: true});
"""

# Words of a state that stand on two lines, and what scrolls sideways in a chart: a phone shows neither.
BROKEN = """
() => [...document.querySelectorAll("main .state")].filter((one) => one.checkVisibility()).flatMap((one) => {
  const text = [...one.childNodes].find((node) => node.nodeType === 3);
  return text ? [...text.data.matchAll(/\\S+/g)].filter((word) => {
    const range = document.createRange();
    range.setStart(text, word.index); range.setEnd(text, word.index + word[0].length);
    return new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1;
  }).map((word) => word[0]) : [];
})
"""
CUT = """[...document.querySelectorAll("main figure .wide")]
  .filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1).map((one) => one.getAttribute("aria-label"))"""

CLIPPED = """[...document.querySelectorAll("main .wide")].filter((one) => one.checkVisibility())
  .filter((one) => one.scrollWidth > one.clientWidth + 1 || [...one.querySelectorAll("td, th")]
    .some((cell) => cell.checkVisibility() && cell.getBoundingClientRect().right > one.getBoundingClientRect().right + 1))
  .map((one) => one.textContent.slice(0, 60))"""

RELATIVE = """
() => {
  const counted = [...document.querySelectorAll("main time[data-ago]")];
  const rest = document.querySelector("main").cloneNode(true);
  rest.querySelectorAll("time, code, pre, script").forEach((one) => one.remove());
  const texts = counted.map((one) => one.textContent);
  return {counted: texts, still: rest.textContent.match(/[\\d.]+ (ms|s|min|h|d) (ago|old)\\b/g) || []};
}
"""

LINES = """[...document.querySelectorAll("main .nowrap")].filter((one) => /\\d{4}-\\d\\d-\\d\\d|^--/.test(one.textContent))
  .map((one) => [one.textContent, new Set([...one.getClientRects()].map((box) => Math.round(box.top))).size])"""


@pytest.fixture(scope="module")
def key(stack_env: dict[str, str]) -> str:
    return octant(stack_env, "key", "create", "acme", "--name", "browser", "--scope", "admin", "--quiet").strip()


@pytest.fixture(scope="module")
def traffic(service_url: str, api_key: str) -> None:
    """A few calls, so that the pages have something to show."""
    key = {"authorization": f"Bearer {api_key}"}
    for words in ("hello", "hello again", "<b>hello</b>", "a long text " * 500 + "the end of it"):
        body: Any = {"model": "smart", "user": "ada", "messages": [{"role": "user", "content": words}]}
        assert requests.post(f"{service_url}/v1/chat/completions", json=body, headers=key, timeout=120).ok


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=tool(*BROWSERS), args=FLAGS)
        yield made
        made.close()


@contextmanager
def opened(browser: Browser, url: str, key: str, width: str = "desktop", **options: Any) -> Iterator[tuple[BrowserContext, Page]]:  # noqa: ANN401 - playwright's
    """A signed-in window; whatever its console reports as an error fails the test."""
    across, down = WIDTHS[width]
    context = browser.new_context(base_url=url, viewport={"width": across, "height": down}, timezone_id="Asia/Kolkata", **options)
    context.set_default_timeout(PATIENCE)
    context.add_init_script(SHIFTS)
    page = context.new_page()
    errors: list[str] = []

    def caught(dialog: Dialog) -> None:
        errors.append("a script of a caller ran")
        dialog.dismiss()

    page.on(
        "console",
        lambda message: errors.append(message.text) if message.type == "error" and REFUSED not in message.text else None,
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", caught)
    page.goto("/console/sign-in")
    page.fill("#key", key)
    page.keyboard.press("Enter")
    page.wait_for_url("**/console")
    errors.clear()
    yield context, page
    context.close()
    assert errors == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.usefixtures("traffic")
def test_pages_have_no_violation_no_overflow_and_do_not_jump(
    browser: Browser, service_url: str, key: str, width: str, theme: str
) -> None:
    axe, problems = Axe(), []
    with opened(browser, service_url, key, width, color_scheme=theme, bypass_csp=True) as (_, page):
        paths = [one.path for one in PAGES]
        page.goto("/console/calls?range=1h")
        paths.append("/console/calls?range=1h")
        paths.append(page.locator("[data-row] a").first.get_attribute("href") or "")
        paths += BEHIND if (width == "phone") == (theme == "dark") else ()
        for path in paths:
            page.goto(path)
            page.wait_for_load_state("load")
            problems += _problems(axe, page)
            if width == "phone" and path == "/console/calls?range=1h":
                hidden = page.evaluate(
                    "(one => one.scrollWidth - one.clientWidth)(document.querySelector('.calls').closest('.wide'))"
                )
                problems += [f"{path}: {hidden} pixels of each call are hidden"] if hidden > 0 else []
    assert problems == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.usefixtures("traffic")
def test_pages_do_not_jump_on_a_slow_machine_and_network(browser: Browser, service_url: str, key: str, width: str) -> None:
    """Scripts, fonts and live parts come late, to a slow processor: no text is painted that is later replaced by another."""
    problems = []
    slow = {"offline": False, "latency": 200, "downloadThroughput": -1, "uploadThroughput": -1}
    with opened(browser, service_url, key, width) as (context, page):
        devtools = context.new_cdp_session(page)
        devtools.send("Network.enable")
        devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
        devtools.send("Network.emulateNetworkConditions", slow)
        devtools.send("Emulation.setCPUThrottlingRate", {"rate": 4})
        for path in (*(one.path for one in PAGES), "/console/calls?range=1h", *BEHIND):
            page.goto(path)
            page.wait_for_load_state("load")
            if page.locator("[data-live]").count():
                page.wait_for_selector(".fresh.live")
            page.wait_for_timeout(100)
            problems += _shifts(page)
    assert problems == []


def test_a_page_that_comes_in_pieces_is_painted_once_it_is_whole(browser: Browser) -> None:
    """Its figures and columns would move with each piece. With the layout's own lines for that, as they stand."""
    layout = (ROOT / "app/console/templates/layout.html").read_text(encoding="utf-8")
    expect, end = (re.search(pattern, layout)[0] for pattern in ('<link rel="expect"[^>]*>', '<span id="end"[^>]*></span>'))  # type: ignore[index] # fails with the layout
    figures = "<p>a figure</p>" * 40

    class InPieces(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(f"<!doctype html><title>pieces</title>{expect}<main>{figures}".encode())
            time.sleep(1.0)  # long enough for a paint; none is waited for
            self.wfile.write(f"{figures}</main><script>performance.mark('whole')</script>{end}".encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), InPieces) as server, browser.new_context() as context:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.wait_for_function("performance.getEntriesByName('first-paint').length")
        whole, painted = page.evaluate("['whole', 'first-paint'].map((name) => performance.getEntriesByName(name)[0].startTime)")
        assert painted > whole
        server.shutdown()


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_jumps_while_a_game_day_is_played(
    browser: Browser, service_url: str, key: str, stack_env: dict[str, str], width: str
) -> None:
    with (
        playing(Path(stack_env["OCTANT_STATE_DIR"]), "rogue-user") as happens,
        opened(browser, service_url, key, width) as (_, page),
    ):
        page.goto("/console/gameday")
        for number in range(12):
            happens(Line(f"event {number}", float(number)))
            if number % 4 == 3:
                page.wait_for_selector(f"text=event {number}")
        assert _shifts(page) == []


@pytest.mark.usefixtures("traffic")
def test_relative_times_count_on_and_nothing_jumps(browser: Browser, service_url: str, key: str) -> None:
    problems = []
    with opened(browser, service_url, key) as (_, page):
        page.clock.install()
        for path in ("log", "sessions", "keys"):
            page.goto(f"/console/security?tab={path}")
            page.wait_for_load_state("load")
            begun = page.evaluate(RELATIVE)
            assert begun["counted"], path
            page.clock.fast_forward(12 * 60_000)
            page.wait_for_timeout(500)
            after = page.evaluate(RELATIVE)
            stood = [one for one, before in zip(after["counted"], begun["counted"], strict=True) if one == before]
            problems += [f"{path}: {one} stands still" for one in [*stood, *after["still"]]]
            problems += _shifts(page)
    assert problems == []


@pytest.fixture(scope="module")
def kept(stack_env: dict[str, str]) -> Iterator[None]:
    """A game day's report, a run of evals and an incident, as each is written here."""
    outcome = Outcome("provider-outage", datetime.now(UTC) - timedelta(minutes=3))
    outcome.verdict, outcome.detected, outcome.contained, outcome.recovered = "kept", 3.2, 12.5, 80.0
    outcome.timeline = [(0.0, "fault begins: x"), (3.2, "`octant providers` shows it"), (12.0, "`octant kill all` works")]
    outcome.probes = [Judged("answered", "fault", "answered", 99.9, holds=True)]
    outcome.followed = [Followed("octant kill all", works=True, code=0, seconds=1.5, output="stopped " * 40)]
    outcome.postmortem = "# Draft\n\nanthropic was away"
    written = report.write(Path(stack_env["OCTANT_STATE_DIR"]), scenario.load(RUNBOOK, "provider-outage"), outcome)
    octant(stack_env, "incident", "open", "calls of acme fail", "--severity", "sev2", "--commander", "ada")
    run = {"release": LIVE_RELEASE, "label": "simulator", "replay": False, "code": 0, "passed": 1.0, "total": 2,
           "cost_micro_usd": 5, "report": {"suite": "browser"}}  # fmt: skip
    line = {"trial": 0, "failure_mode": "overall", "broken": None, "seconds": 0.1, "request_id": "req_browser"}
    engine = create_engine(stack_env["OCTANT_DATABASE_URL"])
    with engine.begin() as connection:
        number = connection.execute(insert(eval_runs).values(run).returning(eval_runs.c.id)).scalar_one()
        cases = [
            {"case": "kept", "passed": True, "findings": []},
            {"case": "lost", "passed": False, "findings": [{"scorer": "sources", "words": "no source"}]},
        ]
        connection.execute(insert(eval_results), [{**line, **case, "run": number} for case in cases])
    yield
    for file in written.parent.glob(f"{written.stem}*"):
        file.unlink()
    octant(stack_env, "incident", "close", "--no-change", "of a test", "--no-draft")
    with engine.begin() as connection:
        connection.execute(delete(eval_runs).where(eval_runs.c.id == number))
    engine.dispose()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.usefixtures("kept")
def test_a_game_day_an_eval_run_and_an_incident_open_from_their_lists(
    browser: Browser, service_url: str, key: str, width: str, theme: str
) -> None:
    axe, problems = Axe(), []
    with opened(browser, service_url, key, width, color_scheme=theme, bypass_csp=True) as (_, page):
        for place, link, shown in (
            ("/console/gameday", "[data-row] a[href^='/console/gameday/']", "anthropic was away"),
            ("/console/evals?suite=browser", "[data-row] a[href^='/console/evals/runs/']", "no source"),
            ("/console/oncall", "a[href^='/console/oncall/incidents/']", "calls of acme fail"),
        ):
            page.goto(place)
            page.goto(page.locator(link).first.get_attribute("href") or "")
            page.wait_for_load_state("load")
            assert shown in page.content()
            problems += _problems(axe, page)
            if width == "phone":
                problems += [f"{place}: {words} is broken" for words in page.evaluate(BROKEN)]
                problems += [f"{place}: {name} is cut" for name in page.evaluate(CUT)]
    assert problems == []


@pytest.mark.usefixtures("kept")
def test_a_phone_shows_a_game_day_as_a_list_and_days_that_are_alike_as_one(browser: Browser, service_url: str, key: str) -> None:
    with opened(browser, service_url, key, "phone") as (_, page):
        page.goto("/console/gameday")
        page.goto(page.locator("[data-row] a[href^='/console/gameday/']").first.get_attribute("href") or "")
        assert page.locator("ol.along li").first.inner_text().split() == ["0", "ms", "fault", "begins"]
        assert not page.locator("svg.lanes").is_visible()
        page.goto("/console/oncall?month=2026-12")
        days = page.locator(".month td.inside")
        shown = [day for day in days.all() if day.is_visible()]
        assert len(shown) <= 15 < days.count()
        assert re.match("\\d+ \N{EN DASH} \\d+", next(day for day in shown if formats.NONE in day.inner_text()).inner_text())


def _problems(axe: Axe, page: Page) -> list[str]:
    """Violations, overflow and shifts of the page that is open."""
    place = page.evaluate("location.pathname")
    found = axe.run(page).response["violations"]
    problems = [f"{place}: {one['id']}: {one['nodes'][0]['html'][:120]}" for one in found]
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    problems += [f"{place}: {wide} pixels too wide"] if wide > 0 else []
    return problems + _shifts(page)


def _shifts(page: Page) -> list[str]:
    """How far the page that is open has jumped, if it is more than it may be."""
    place, shift = page.evaluate("location.pathname + location.search"), page.evaluate("window.shifts")
    return [f"{place}: shifted by {shift:.3f}: {page.evaluate('window.shifted')}"] if shift > MOST_SHIFT else []


@pytest.mark.usefixtures("traffic")
def test_every_page_is_reached_and_used_by_keyboard(browser: Browser, service_url: str, key: str) -> None:
    with opened(browser, service_url, key) as (_, page):
        for one in PAGES:
            with page.expect_navigation(url=f"**{one.path}"):
                page.keyboard.press("g")
                page.keyboard.press(one.key)
        page.goto("/console/calls?range=1h")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "search"
        page.keyboard.press("Escape")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/traces/*")
        page.keyboard.press("Control+k")
        page.keyboard.type("budg")
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/budgets")


MEASURES = """
() => {
  const seen = (one) =>
    one.checkVisibility({visibilityProperty: true}) && one.getClientRects().length && !one.closest(".hidden, .skip");
  const words = (one) => `${one.tagName} ${(one.textContent || one.name || "").trim().slice(0, 40)}`;
  const inText = (one) => { // a link in a sentence is as high as its line
    let block = one.parentElement;
    while (getComputedStyle(block).display === "inline") block = block.parentElement;
    const others = block.textContent.replace(one.textContent, "");
    return one.tagName === "A" && getComputedStyle(one).display === "inline" && /[a-z]{2}/i.test(others);
  };
  const low = [...document.querySelectorAll("a, button, summary, input:not([type=hidden]), select")]
    .filter((one) => seen(one) && !inText(one) && one.getBoundingClientRect().height < 23.99)
    .map((one) => `low: ${words(one)} ${one.getBoundingClientRect().height}`);
  const cut = [...document.querySelectorAll("main *")]
    .filter((one) => seen(one) && !one.children.length && !one.closest("svg, select, pre"))
    .filter((one) => /^-?\\$[\\d.,]+[kMG]?$/.test(one.textContent.trim()))
    .filter((one) => one.getBoundingClientRect().right > innerWidth || one.scrollWidth > one.clientWidth + 1)
    .map((one) => `cut: ${one.textContent.trim()} of ${words(one.closest("tr, dl, p, li") || one)}`);
  const silent = [...document.querySelectorAll(".wide")]
    .filter((one) => seen(one) && one.scrollWidth > one.clientWidth + 1)
    .filter((one) => one.tabIndex !== 0 || !getComputedStyle(one).backgroundAttachment.includes("local"))
    .map((one) => `scrolls without a hint: ${one.getAttribute("aria-label")}`);
  return [...low, ...(innerWidth < 600 ? [...cut, ...silent] : [])];
}
"""


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.usefixtures("traffic")
def test_targets_are_24_px_high_and_a_phone_hides_no_cost_and_no_scrolling(
    browser: Browser, service_url: str, key: str, width: str
) -> None:
    """WCAG 2.2, 2.5.8: a target of 24 pixels; a link within a sentence is excepted."""
    problems = []
    with opened(browser, service_url, key, width, bypass_csp=True) as (_, page):
        page.goto("/console/calls?range=1h")
        trace = page.locator("[data-row] a").first.get_attribute("href") or ""
        more = ["/console/calls?range=1h&tenant=acme", "/console/runbook/provider-outage", "/console/runbook?q=answers+are+slow"]
        for path in [*(one.path for one in PAGES), *more, trace]:
            page.goto(path)
            page.wait_for_load_state("load")
            problems += [f"{path}: {one}" for one in page.evaluate(MEASURES)]
    assert problems == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.usefixtures("traffic")
def test_the_table_of_calls_is_on_the_first_screen_however_they_are_filtered(
    browser: Browser, service_url: str, key: str, width: str
) -> None:
    """Opened, the further filters use the width; on a phone they are one column."""
    with opened(browser, service_url, key, width) as (_, page):
        page.goto("/console/calls?range=1h&tenant=acme&needed_model=true&min_latency_ms=0")
        top = page.locator("table.calls tbody tr").first.bounding_box()
        assert top is not None
        assert top["y"] + top["height"] < WIDTHS[width][1]
        if width == "phone":
            page.click("button[data-unfold=filters]")
        page.click("text=More filters")
        boxes = [box for one in page.locator("form.filters details label").all() if (box := one.bounding_box())]
        columns = {round(box["x"]) for box in boxes}
        assert len(boxes) > 10
        assert len(columns) == 1 if width == "phone" else len(columns) >= 6
        page.get_by_role("link", name="Remove the filter Tenant: acme").click()
        page.wait_for_url("**/console/calls?range=1h&needed_model=true&min_latency_ms=0")


@pytest.mark.usefixtures("traffic")
def test_a_call_opens_with_its_title_waterfall_question_and_answer(browser: Browser, service_url: str, key: str) -> None:
    with opened(browser, service_url, key) as (_, page):
        page.goto("/console/calls?range=1h&text=again")
        page.locator("[data-row] a").first.click()
        page.wait_for_url("**/console/traces/*")
        for part in ("h1", "table.waterfall", "table.waterfall tfoot", ".said.asked", ".said.answer-text"):
            box = page.locator(part).first.bounding_box()
            assert box is not None, part
            assert 0 <= box["y"] < WIDTHS["desktop"][1], part
        assert page.inner_text(".said.asked blockquote").strip() == "hello again"


@pytest.mark.usefixtures("traffic")
def test_on_a_desktop_no_table_of_scores_or_facts_is_cut(
    browser: Browser, service_url: str, key: str, stack_env: dict[str, str]
) -> None:
    title = "The objective of availability is being missed: 14.11 % of calls are not answered"
    opened_now = re.search(r"\d+", octant(stack_env, "incident", "open", title, "--severity", "sev3"))
    assert opened_now, "its number"
    on = ("--on", opened_now[0])  # others may be open
    octant(stack_env, "incident", "assign", "operator (key c98a5a29) of the night", *on)
    octant(stack_env, "incident", "close", "--runbook", "provider-outage.md", "--change", "its first step", "--no-draft", *on)
    with opened(browser, service_url, key) as (_, page):
        for path in (
            "/console",
            "/console/oncall",
            "/console/readiness",
            "/console/evals",
            "/console/evals?release=2026-11-24",
            "/console/security?tab=keys",
        ):
            page.goto(path)
            page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            cut = "[...document.querySelectorAll('.wide')].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.ariaLabel)"
            assert page.evaluate(cut) == [], path
            times = "[...document.querySelectorAll('td:is(.finding, .sentence) time[data-ago]')]"
            assert set(page.evaluate(f"{times}.map(e => getComputedStyle(e).display)")) <= {"inline"}, "no hole in a sentence"


def test_no_cell_of_the_runbooks_tables_is_clipped(browser: Browser, service_url: str, key: str) -> None:
    """The table that decides whether to stop a provider was cut off beside half a page of nothing."""
    for width in WIDTHS:
        with opened(browser, service_url, key, width) as (_, page):
            for path in sorted(RUNBOOK.glob("*.md")):
                page.goto(f"/console/runbook/{path.stem}", wait_until="domcontentloaded")
                assert page.evaluate(CLIPPED) == [], f"{path.name} at {width}"
                assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path.name


def test_the_palette_knows_actions_and_other_words_for_pages(browser: Browser, service_url: str, key: str) -> None:
    wanted = {
        "rollback": "/console/do/rollback**", "cost": "/console/budgets", "tour": "/console/readiness",
        "stop provider anthropic": "/console/do/kill-provider?name=anthropic**", "pager": "/console/oncall",
        "429 throttled": "/console/runbook/rate-limits", "redis down": "/console/runbook/valkey-away",
        "how do you roll back": "/console/releases**", "who is on call": "/console/oncall",
        "outage": "/console/runbook/provider-outage", "leaked key": "/console/runbook/keys#a-key-has-leaked",
        "kill": "/console/do/kill-all**", "stop": "/console/do/kill-all**",
        "kill switch": "/console/do/kill-all**", "who do I call": "/console/oncall", "cost distribution": "/console#cost",
        "prompt injection": "/console/security**", "rogue user": "/console/budgets**", "latency": "/console#latency",
        "evals": "/console/evals", "is there a runbook": "/console/runbook", "answers are slow": "/console/runbook/latency",
        "the site is down": "/console/runbook?q=the+site+is+down", "customers get 429": "/console/runbook/budget-exhausted",
        "ack": "/console/oncall**", "how long does a rollback take": "/console/releases**",
        "when was the last rollback": "/console/releases**", "eve": "/console/calls?text=eve**",
        "trace": "/console/calls?range=1h&sort=latency_ms",
    }  # fmt: skip
    with opened(browser, service_url, key) as (_, page):
        for words, path in wanted.items():
            page.goto("/console/security")
            page.keyboard.press("Control+k")
            page.keyboard.type(words)
            page.keyboard.press("Enter")
            page.wait_for_url(f"**{path}")
        before = page.evaluate("document.documentElement.dataset.theme")
        page.keyboard.press("Control+k")
        assert page.locator("#palette li", has_text="Answers are slow").count() == 0, "a page of the runbook is for words"
        page.keyboard.type("theme")
        page.keyboard.press("Enter")
        assert page.evaluate("document.documentElement.dataset.theme") not in (None, before)
        assert not page.locator("#palette").is_visible()
        page.keyboard.press("Control+k")
        page.keyboard.type("cap acme")  # a word that a page knows, and one that only the records do
        assert [words.split("\n")[0] for words in page.locator("#palette li").all_inner_texts()[:2]] == [
            "Search for “cap acme”",
            "Budgets",
        ]
        listed = []
        for words in ("rollback", "roll back"):
            page.fill("#palette-text", words)
            listed.append(page.locator("#palette li").all_inner_texts()[:-1])
        assert listed[0] == listed[1], "two spellings of one word"
        page.fill("#palette-text", "zxqv")
        assert page.locator('#palette li[aria-selected="true"]').inner_text().startswith("Search for “zxqv”")
        page.goto("/console/calls")
        page.keyboard.press("/")
        page.keyboard.type("latency")
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/search?q=latency")
        page.wait_for_function("document.activeElement.matches('main a')")  # the browser moves the focus after the load
        page.keyboard.press("Enter")
        page.wait_for_url("**/console#latency")


def to(page: Page, words: str) -> None:
    """Tab to the element that begins with these words."""
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("(document.activeElement.textContent || document.activeElement.name || '').trim()").startswith(words):
            return
    pytest.fail(f"no way to {words!r} by Tab")


@pytest.mark.usefixtures("traffic")
def test_an_action_is_done_and_taken_back_by_keyboard_alone(browser: Browser, service_url: str, key: str) -> None:
    """From the palette to the banner that says what came of it, and a long text on the way."""
    with opened(browser, service_url, key) as (_, page):
        page.keyboard.press("Control+k")
        page.keyboard.type("a long text")
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/calls?text=*")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/traces/*")
        assert "the end of it" not in page.inner_text("main")
        to(page, "Prompt, redacted, whole")
        page.keyboard.press("Enter")
        to(page, "Show the other")
        page.keyboard.press("Enter")
        page.locator("pre", has_text="the end of it").wait_for()
        page.keyboard.press("Home")
        page.evaluate("document.activeElement.blur()")
        for button, banner in (("Make an eval case", "The call is marked"), ("Take back", "The mark is taken back")):
            to(page, button)
            page.keyboard.press("Enter")
            page.wait_for_url("**/console/do/**")
            page.wait_for_function("document.activeElement.id === 'reason'")
            page.keyboard.type("by keyboard")
            page.keyboard.press("Enter")
            page.locator("[role=status]", has_text=banner).wait_for()


@pytest.mark.usefixtures("traffic")
def test_times_are_shown_in_the_browsers_zone_which_is_named(browser: Browser, service_url: str, key: str) -> None:
    with opened(browser, service_url, key) as (_, page):
        page.goto("/console/calls?range=1h")
        stored = page.locator("[data-row] time").first
        there = page.evaluate(
            "at => new Date(at).toLocaleString('sv-SE', {timeZone: 'Asia/Kolkata'})", stored.get_attribute("datetime")
        )
        assert stored.inner_text() == there
        zone = page.locator(".head [data-zone]").inner_text()
        assert zone in ("Asia/Kolkata", "Asia/Calcutta")
        assert page.locator("table.calls thead th").first.inner_text() == f"Began, {zone}"
        assert page.locator("[data-zone]:visible").count() == 2, "beside the range and in the table's head"
        page.goto("/console/calls?since=2026-11-27T10:00Z&until=2026-11-27T11:00Z")
        assert "from 2026-11-27 15:30 to 2026-11-27 16:30" in page.inner_text(".answer"), "sentences, too"
        page.goto("/console/releases?tab=history")
        assert page.locator("th [data-zone]").all_inner_texts() == [zone], "one head of the page has moments"
        assert page.inner_text("footer") == f"Times in {zone}", "a page without a range"


def test_a_phone_cuts_no_state_and_breaks_no_date_or_option(browser: Browser, service_url: str, key: str) -> None:
    with opened(browser, service_url, key, "phone") as (_, page):
        page.goto("/console/runbook")
        assert page.locator("td .state").count() >= 10
        assert (
            page.evaluate("Math.max(...[...document.querySelectorAll('.wide')].map((one) => one.scrollWidth - one.clientWidth))")
            <= 0
        )
        page.goto("/console/oncall")
        phone = page.locator("td[data-label=Phone]").first
        number, badge = phone.locator("> span").bounding_box(), phone.locator(".soft").bounding_box()
        assert number
        assert badge
        assert badge["x"] >= number["x"] > 104, "the badge stands with the number, not with the label"
        for path, least in (("/console/oncall", 1), (f"/console/evals?release={LIVE_RELEASE}", 1)):
            page.goto(path)
            lines = page.evaluate(LINES)
            assert len(lines) >= least
            assert {text: number for text, number in lines if number > 1} == {}, path


# Parts of a value that stand in its label's column, and names of a legend that are cut off.
TORN = """[...document.querySelectorAll("td[data-label]")]
  .filter((cell) => cell.checkVisibility() && getComputedStyle(cell, "::before").content !== "none").flatMap((cell) => {
  const left = cell.getBoundingClientRect().left + 100;
  return [...cell.querySelectorAll("code, a, strong, span")].filter((one) => one.getBoundingClientRect().left < left);
}).map((one) => one.textContent)"""
UNNAMED = """[...document.querySelectorAll(".plot")].flatMap((plot) => {
  const end = plot.getBoundingClientRect().bottom;
  return [...plot.querySelectorAll(".u-legend .u-label")].filter((one) => one.getBoundingClientRect().bottom > end + 1);
}).map((one) => one.textContent)"""


@pytest.mark.usefixtures("traffic", "kept")
def test_a_phone_tears_no_cell_apart_and_cuts_no_name_of_a_legend(browser: Browser, service_url: str, key: str) -> None:
    with opened(browser, service_url, key, "phone") as (_, page):
        for path in (
            "/console/releases",
            "/console/security?tab=attacks",
            "/console/oncall",
            "/console?range=15m",
            "/console/runbook",
        ):
            page.goto(path)
            assert page.evaluate(TORN) == [], path
        page.set_viewport_size({"width": 320, "height": 700})
        page.goto("/console?range=15m")
        page.wait_for_timeout(200)  # charts are drawn
        assert page.evaluate(UNNAMED) == []
        page.goto("/console/runbook")
        rows = page.locator("section[aria-labelledby=others] tbody tr")
        assert rows.first.evaluate("(row) => getComputedStyle(row).display") == "block", "a long text has a line of its own"
        page.goto("/console/gameday")
        page.locator("td a[href*='provider-outage']").first.click()
        row = page.locator("[aria-label=Commands] tbody tr").first
        assert row.evaluate("(row) => getComputedStyle(row).display") == "block"


def test_a_phones_ranges_have_a_line_between_their_rows(browser: Browser, service_url: str, key: str) -> None:
    with opened(browser, service_url, key, "phone") as (_, page):
        page.goto("/console?range=15m")
        boxes = [one.bounding_box() for one in page.locator(".ranges a").all()]
        rows = sorted({box["y"] for box in boxes if box})
        assert len(rows) == 2
        for row in rows:
            across = sorted((box["x"], box["x"] + box["width"]) for box in boxes if box and box["y"] == row)
            assert across[0][0] == pytest.approx(min(box["x"] for box in boxes if box), abs=0.5), "no stub of a line"
            assert across[-1][1] == pytest.approx(max(box["x"] + box["width"] for box in boxes if box), abs=0.5)
        assert rows[1] - rows[0] == pytest.approx(boxes[0]["height"] + 1, abs=0.5), "the gap is the line"  # type: ignore[index]


CUT = """[...document.querySelectorAll(".tabs, .ranges")].filter((line) => {
  const own = [...line.querySelectorAll("a")].map((one) => one.getBoundingClientRect());
  return own.some((box) => box.left < 0 || box.right > innerWidth);  // they wrap
}).map((line) => line.textContent)"""


@pytest.mark.usefixtures("traffic")
def test_a_phones_bar_is_the_same_on_each_page_and_no_tab_is_cut(browser: Browser, service_url: str, key: str) -> None:
    with opened(browser, service_url, key, "phone") as (_, page):
        for path in [*(one.path for one in PAGES), "/console/releases?tab=stops", "/console/security?tab=packages"]:
            page.goto(path)
            bar = [one.inner_text() for one in page.locator("nav.side").locator("a, button").all() if one.is_visible()]
            assert bar == ["Overview", "Calls", "On-call", "Runbook", "More"], path
            assert page.evaluate(CUT) == [], path
        page.get_by_role("button", name="More").click()
        assert page.locator("nav.side a:visible").all_inner_texts() == [one.title for one in PAGES]


@pytest.mark.usefixtures("traffic")
def test_a_phone_has_each_request_in_three_lines_and_each_figure_of_the_evals(
    browser: Browser, service_url: str, key: str
) -> None:
    with opened(browser, service_url, key, "phone") as (_, page):
        page.goto("/console/requests?range=1h")
        first = page.locator("[data-row]").first
        box = first.bounding_box()
        assert box
        assert box["height"] < 90
        assert re.search(r"\d\sm?s\n\$\d", first.inner_text())
        page.goto(f"/console/evals?release={LIVE_RELEASE}")
        for name in ("Margin", "Change"):
            cell = page.locator(f"table.scores td[data-label='{name}']").first
            box = cell.bounding_box()
            assert box
            assert box["x"] + box["width"] <= WIDTHS["phone"][0]
            assert re.search("points|\u2013", cell.inner_text()), "a dash: no release before it"


@pytest.mark.usefixtures("traffic")
def test_a_sent_filter_leaves_only_what_was_chosen_in_the_address(browser: Browser, service_url: str, key: str) -> None:
    with opened(browser, service_url, key) as (_, page):
        page.goto("/console/calls?range=1h")
        page.fill("input[name=user]", "ada")
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.url) if "/console/calls?" in request.url else None)
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/calls?range=1h&user=ada")
        assert [url for url in sent if "=&" in url or url.endswith("=")] == [], "the service takes nothing out"
        assert page.locator("datalist#values-tenant option[value=acme]").count() == 1


@pytest.mark.usefixtures("traffic")
def test_a_page_without_scripts_shows_and_filters(browser: Browser, service_url: str, key: str) -> None:
    with opened(browser, service_url, key, java_script_enabled=False) as (_, page):
        page.goto("/console/calls?range=1h")
        page.fill("input[name=user]", "no such user")
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/calls?range=1h&user=no+such+user")
        assert "No calls match in the last 1 h." in page.inner_text("main").replace("\u00a0", " ")


def test_marks_on_a_chart_share_a_label_where_theirs_would_touch(browser: Browser, service_url: str, key: str) -> None:
    marks = [[10, "kill all"], [12, "resume"], [200, "rollback"], [204, "rollback"], [300, "resume"], [490, "budget set"]]
    with opened(browser, service_url, key) as (_, page):
        read = "(marks) => grouped(marks, (words) => 6 * words.length, 500, 4).map((one) => [one.places, one.words, one.begin])"
        found = page.evaluate(read, marks)
    assert found == [
        [[10], "2 changes", 14], [[200, 204], "rollback \u00d72", 204], [[300], "resume", 304], [[490], "budget set", 440],
    ]  # fmt: skip


@pytest.mark.usefixtures("traffic")
def test_a_chart_names_its_newest_values_while_nothing_is_pointed_at(browser: Browser, service_url: str, key: str) -> None:
    with opened(browser, service_url, key) as (_, page):
        # A live part would draw the chart anew.
        page.route("**/console/live/**", lambda route: route.fulfill(content_type="text/event-stream", body="retry: 1000000\n\n"))
        page.goto("/console?range=15m")
        page.wait_for_selector("[data-chart] .u-over")
        values = "document.querySelector('[data-chart] .u-legend').querySelectorAll('.u-value')"
        read = f"() => [...{values}].map((one) => one.textContent)"
        newest = page.evaluate(read)
        assert len(newest) >= 3, "the time, and each line"
        assert not set(newest) & {"\u2013", "--", ""}
        page.locator("[data-chart] .u-over").first.hover(position={"x": 4, "y": 20})
        page.wait_for_function(f"(before) => ({read})().join() !== before", arg=",".join(newest))
        legends = "[...document.querySelectorAll('[data-chart] .u-legend')]"
        times = f"() => {legends}.map((one) => one.querySelector('.u-value').textContent)"
        assert len(set(page.evaluate(times))) == 1 < len(page.evaluate(times)), "each chart shows the time that one is pointed at"
        page.mouse.move(1, 1)
        page.wait_for_function(f"(before) => ({read})().join() === before", arg=",".join(newest))


def test_charts_write_money_as_pages_do_and_name_the_days_of_an_axis(browser: Browser, service_url: str, key: str) -> None:
    sums = (0, 1, 51, 1_800, 5_230, 10_000, 100_000, 161_900, 999_999, 12_300_000, 999_999_999, 1_234_000_000, 12_340_000_000)
    at = datetime(2026, 11, 27, 18, 30, tzinfo=UTC).timestamp()  # midnight in Kolkata, the browser's zone
    with opened(browser, service_url, key) as (_, page):
        page.goto("/console")
        shown = page.evaluate("sums => sums.map((one) => money(one / 1e6))", sums)
        assert shown == [formats.usd(micros) for micros in sums]

        def axis(hours: int, ticks: int) -> list[str]:
            places = [at + 3600 * hours * n for n in range(ticks)]
            words: list[str] = page.evaluate(
                "([ticks, step]) => onAxis(ticks, step, [ticks[0], ticks.at(-1)])", [places, 3600 * hours]
            )
            return words

        assert axis(12, 4) == ["00:00\n28 Nov", "12:00", "00:00\n29 Nov", "12:00"]
        assert axis(24, 2) == ["28 Nov", "29 Nov"]
        assert axis(1, 3) == ["00:00", "01:00", "02:00"], "within a day the day is not said"
        wide = """label => { const pen = document.createElement("canvas").getContext("2d"); pen.font = "11px Inter, sans-serif";
            return roomOf([label, null]) - pen.measureText(label).width; }"""
        assert all(page.evaluate(wide, label) >= 10 for label in ("0", "1,000 ms", "$0.000012", "100,000,000")), "none is cut"
        assert page.evaluate("once(['a', 'a', 'b', 'a'])") == ["a", None, "b", "a"], "two ticks of one second have one label"


def test_an_open_on_call_page_follows_its_pages_and_says_how_old_they_are(
    browser: Browser, service_url: str, key: str, stack_env: dict[str, str]
) -> None:
    """At night states that stand still are paging that is broken. A click into the table holds nothing."""
    number = uuid.uuid4()
    engine = create_engine(stack_env["OCTANT_DATABASE_URL"])
    values = {"id": number, "dedup_key": str(number), "alert": "OctantBreakerOpen", "severity": "page", "status": "triggered",
              "summary": "it rests", "labels": {}, "triggered_at": datetime.now(UTC), "level": 0, "test": False}  # fmt: skip
    try:
        with opened(browser, service_url, key, "phone", bypass_csp=True) as (_, page):
            page.goto("/console/oncall")
            page.evaluate("window.same = true")
            page.wait_for_function("document.querySelector('[data-fresh]').textContent.startsWith('live')", timeout=PATIENCE)
            with engine.begin() as connection:
                connection.execute(pages.insert().values(values))
            row = page.locator("tr", has=page.locator(f"a[href*='{number}']"))
            row.get_by_text("not sent yet").click()
            with engine.begin() as connection:
                connection.execute(pages.update().where(pages.c.id == number).values(level=1, person="Ada of the night"))
            row.get_by_text("Ada of the night").wait_for()
            assert page.evaluate("window.same"), "it was not loaded again"
            page.evaluate("getSelection().selectAllChildren(document.querySelector('main'))")
            page.evaluate("() => { const now = Date.now; let later = 0; Date.now = () => now() + (later += 9000); }")
            page.wait_for_function("/^held, .* old$/.test(document.querySelector('.fresh.late')?.textContent)", timeout=PATIENCE)
    finally:
        with engine.begin() as connection:
            connection.execute(pages.delete().where(pages.c.id == number))
        engine.dispose()


def test_an_open_page_of_game_days_shows_one_that_begins_and_one_that_ends(
    browser: Browser, service_url: str, key: str, stack_env: dict[str, str]
) -> None:
    with opened(browser, service_url, key, bypass_csp=True) as (_, page):
        page.goto("/console/gameday")
        page.wait_for_function("document.querySelector('[data-fresh]').textContent.startsWith('live')", timeout=PATIENCE)
        with playing(Path(stack_env["OCTANT_STATE_DIR"]), "rogue-user"):
            page.get_by_text("Being played: rogue-user").wait_for()
            page.get_by_role("link", name="Stop this game day").wait_for()
        page.get_by_role("link", name="Play").first.wait_for()
        assert page.get_by_text("Being played").count() == 0


@pytest.mark.usefixtures("traffic")
def test_a_live_page_says_how_old_it_is(browser: Browser, service_url: str, key: str) -> None:
    with opened(browser, service_url, key, bypass_csp=True) as (context, page):
        page.goto("/console?range=15m")
        page.wait_for_function("document.querySelector('[data-fresh]').textContent.startsWith('live')", timeout=PATIENCE)
        context.set_offline(True)
        # Each look at the clock is a minute later: an event that still comes is old when its age is written.
        page.evaluate("() => { const now = Date.now; let later = 0; Date.now = () => now() + (later += 60000); }")
        page.wait_for_function("document.querySelector('[data-fresh]').className.includes('late')", timeout=PATIENCE)


def test_a_live_page_is_not_green_while_it_shows_what_was_before(browser: Browser, service_url: str, key: str) -> None:
    """Postgres is frozen: the stream brings what was known before, and says so."""
    with opened(browser, service_url, key, bypass_csp=True) as (_, page):
        page.goto("/console/oncall")
        fresh = "document.querySelector('[data-fresh]')"
        page.wait_for_function(f"{fresh}.className === 'fresh live'", timeout=PATIENCE)
        banner = '<p class="banner" data-away></p>'  # as `macros.age` writes it
        page.evaluate(f"setInterval(() => document.querySelector('[data-live]').insertAdjacentHTML('beforeend', '{banner}'), 50)")
        amber = f"{fresh}.className === 'fresh late' && {fresh}.textContent === 'a store is away'"
        page.wait_for_function(amber, timeout=PATIENCE)


def test_a_live_page_goes_on_after_an_answer_that_is_no_stream(browser: Browser, service_url: str, key: str) -> None:
    """A service that starts, or a store that is away for a moment, answers once with an error: the page goes on after it."""
    with opened(browser, service_url, key, bypass_csp=True) as (_, page):
        answers = [204]  # it ends an event stream as a 503 does, and Chromium reports no error

        def refused(route: Route) -> None:
            if answers:
                route.fulfill(status=answers.pop())
            else:
                route.continue_()

        page.route("**/console/live/oncall", refused)
        page.goto("/console/oncall")
        page.wait_for_function("document.querySelector('[data-fresh]').textContent.startsWith('live')", timeout=PATIENCE)
        assert not answers


def test_a_live_page_whose_session_is_over_leads_to_the_sign_in(browser: Browser, service_url: str, key: str) -> None:
    with opened(browser, service_url, key, bypass_csp=True) as (context, page):
        page.route("**/console/live/oncall", lambda route: route.fulfill(status=204))
        page.goto("/console/oncall")
        context.clear_cookies()
        page.get_by_label("API key").wait_for()


def test_a_step_back_to_a_live_page_shows_it_live(browser: Browser, service_url: str, key: str) -> None:
    """A browser may show a page as it was left: with the age of then, it would say that it is live."""
    with opened(browser, service_url, key, bypass_csp=True) as (_, page):
        page.goto("/console/oncall")
        page.wait_for_function("document.querySelector('[data-fresh]').textContent.startsWith('live')", timeout=PATIENCE)
        page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
        page.evaluate("document.querySelector('[data-live]').replaceChildren('as it was left')")
        page.wait_for_timeout(3000)
        assert page.get_by_text("as it was left").count() == 1, "it is followed no more"
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
        page.get_by_role("heading", name="Now and next").wait_for()


def test_a_link_in_another_sites_page_opens_the_console(browser: Browser, service_url: str, key: str) -> None:
    """As from a pager: the strict cookie is not sent with the click, and the page comes all the same."""

    class Pager(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            there = f"{service_url}/console/calls?range=15m"
            self.wfile.write(f'<link rel="icon" href="data:,"><a href="{there}">the calls</a>'.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pager) as pager:
        threading.Thread(target=pager.serve_forever, daemon=True).start()
        with opened(browser, service_url, key) as (_, page):
            page.goto(f"http://localhost:{pager.server_port}/")
            page.click("a")
            page.wait_for_selector("h1:has-text('Calls')", timeout=PATIENCE)
        pager.shutdown()


def test_the_readiness_review_is_printed_as_a_pdf(tmp_path: Path) -> None:
    tool(*BROWSERS)
    fact = Evidence(name="Suite", value="passes", command="make eval")
    answers = [Answer(axis="Evals", question="Sure?", words="Yes.", evidence=[fact] * 4, command="make eval")] * 8
    print_pdf(document(answers, environment="demo", now=datetime.now(UTC)), tmp_path / "review.pdf")
    printed = (tmp_path / "review.pdf").read_bytes()
    assert printed.startswith(b"%PDF-")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 5  # the answers stand on a page of their own


def confirm(page: Page, reason: str) -> None:
    """Read the page that asks once more, give the reason, and wait for the banner that it is done."""
    page.wait_for_url("**/console/do/**")
    assert Axe().run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert page.locator(".terminal code").inner_text().startswith(("octant ", "kill ", "python -m evals "))
    page.fill("#reason", reason)
    page.locator("form.ask button.strong, main form button").first.click()
    page.locator("[role=status] strong", has_text="Done.").wait_for(timeout=PATIENCE)
    page.wait_for_function("!/[?&](done|signed|said_at)=/.test(location.search)")


def refused(page: Page, reason: str) -> None:
    """Read the page that foretells a refusal, give the reason, and see it refused in words."""
    assert Axe().run(page).response["violations"] == []
    assert "will be refused" in page.inner_text("main")
    page.fill("#reason", reason)
    page.locator("main form button").first.click()
    page.locator("[role=alert]").wait_for()


# Each action with the one that takes it back; between them, all kinds of forms that the console has.
PAIRS = (
    ("kill-provider?name=anthropic", "resume?scope=provider&name=anthropic"),
    ("budget-set?tenant=acme&user=ada&day=3", "budget-set?tenant=acme&user=ada&day=4"),
    ("rollback", f"release-activate?release={LIVE_RELEASE}"),
    ("drill-gameday?scenario=provider-outage", "drill-gameday-stop"),
)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0].partition("?")[0])
@pytest.mark.usefixtures("traffic")
def test_an_action_says_what_it_does_is_done_and_is_taken_back(
    browser: Browser, service_url: str, key: str, pair: tuple[str, str]
) -> None:
    with opened(browser, service_url, key, "phone", bypass_csp=True) as (_, page):
        for way in pair:
            page.goto(f"/console/do/{way}")
            confirm(page, "a test in a browser")
            if way.startswith("drill-gameday?"):
                page.get_by_text("Being played: provider-outage").wait_for()
                page.get_by_text("starting a service of its own").wait_for()
            page.reload()
            assert page.locator("[role=status] strong", has_text="Done.").count() == 0, "it is said once"
        page.goto("/console/gameday")
        for _ in range(200):  # the stop ends a service that was being started
            if "Being played" not in page.inner_text("main"):
                break
            page.wait_for_timeout(300)
            page.goto("/console/gameday")
        assert "Being played" not in page.inner_text("main")


def logged(env: dict[str, str], action: str, reason: str) -> bool:
    """Whether the operators' log has this action, done with this reason."""
    rows = octant(env, "audit", "list").splitlines()
    return any(f"  {action}  " in row and row.endswith(f"[ok]  {reason}") for row in rows)


@pytest.mark.usefixtures("traffic")
def test_a_canary_is_started_widened_ended_and_promoted(
    browser: Browser, service_url: str, key: str, stack_env: dict[str, str]
) -> None:
    """An earlier release is made live first, and the promotion brings back the one of the start."""
    with opened(browser, service_url, key, "phone", bypass_csp=True) as (_, page):
        page.goto("/console/do/rollback")
        confirm(page, "room for a canary")
        for number, (share, then) in enumerate((("5%", "release-abort"), ("10%", "release-promote-force"))):
            page.goto(f"/console/releases/{LIVE_RELEASE}")
            page.fill("input[name=share]", share)
            page.get_by_role("button", name="Try it on a share").click()
            confirm(page, f"canary {number}")
            assert logged(stack_env, "release canary", f"canary {number}")
            page.goto(f"/console/do/release-canary?release={LIVE_RELEASE}&share=50%25")
            confirm(page, "wider")
            if number:
                page.goto("/console/do/release-promote")
                refused(page, "without evidence")
            page.goto("/console/releases?tab=canary")
            assert "50\u00a0%" in page.locator(".figure", has_text="Canary").inner_text()
            page.locator(f"a[href$='/do/{then}']").first.click()
            confirm(page, f"enough of {number}")
            assert logged(stack_env, then.replace("-force", " --force").replace("release-", "release "), f"enough of {number}")
        live = page.locator(".figure", has_text="Live")
        live.get_by_role("link", name=LIVE_RELEASE).wait_for()  # a time beside it can be of the day that names the release
        assert "none" in page.locator(".figure", has_text="Canary").inner_text()


def test_a_revoked_key_and_an_ended_session_are_out(
    browser: Browser, service_url: str, key: str, stack_env: dict[str, str]
) -> None:
    lost = octant(stack_env, "key", "create", "acme", "--name", "lost phone", "--scope", "admin", "--quiet").strip()
    number = lost.split("_")[1]
    with (
        opened(browser, service_url, lost) as (_, theirs),
        opened(browser, service_url, key, "phone", bypass_csp=True) as (_, page),
    ):
        theirs.goto("/console/runbook")
        page.goto("/console/security?tab=sessions")
        page.locator("tr", has_text=number).locator("a[href*='/do/console-end']").first.click()
        confirm(page, "left in a train")
        assert logged(stack_env, "console end", "left in a train")
        for _ in range(200):  # every worker knows within 5 s
            theirs.goto("/console/runbook")
            if "/sign-in" in theirs.url:
                break
            theirs.wait_for_timeout(300)
        assert "/sign-in" in theirs.url
        theirs.goto("/console/security?tab=keys#provider-keys")
        theirs.get_by_text("Your session has ended.").wait_for()
        theirs.fill("#key", lost)
        theirs.keyboard.press("Enter")
        theirs.wait_for_url("**/console/security?tab=keys#provider-keys")
        page.goto("/console/security?tab=keys")
        page.locator("tr", has_text=number).locator("a[href*='/do/key-revoke']").first.click()
        confirm(page, "left there too")
        assert logged(stack_env, "key revoke", "left there too")
        status = 0
        for _ in range(200):
            headers = {"authorization": f"Bearer {lost}"}
            status = requests.get(f"{service_url}/v1/models", headers=headers, timeout=120).status_code
            if status == 401:
                break
            page.wait_for_timeout(300)
        assert status == 401


def test_a_page_is_acknowledged_and_resolved_on_a_phone(
    browser: Browser, service_url: str, key: str, stack_env: dict[str, str]
) -> None:
    number = uuid.uuid4()
    engine = create_engine(stack_env["OCTANT_DATABASE_URL"])
    values = {"id": number, "dedup_key": str(number), "alert": "OctantBreakerOpen", "severity": "page", "status": "triggered",
              "summary": "anthropic rests, and of the calls that only we or our providers could fail too few are answered",
              "labels": {}, "triggered_at": datetime.now(UTC), "level": 1,
              "person": "operator (key dbad67ba) in the console",
              "test": False}  # fmt: skip
    with engine.begin() as connection:
        connection.execute(pages.insert().values(values))
    try:
        with opened(browser, service_url, key, "phone", bypass_csp=True) as (_, page):
            page.goto("/console/runbook")
            page.evaluate("badgeIs('0'); document.dispatchEvent(new Event('visibilitychange'))")
            page.wait_for_function("parseInt(document.querySelector('[data-badge]').textContent) > 0", timeout=PATIENCE)
            page.goto("/console/oncall")
            first = page.get_by_role("link", name="Acknowledge").first.bounding_box()
            test = page.get_by_role("link", name="Send a test page").all()
            assert first
            assert all(one.bounding_box()["y"] > first["y"] for one in test), "no button stands above the page that waits"  # type: ignore[index]
            assert page.locator("main").inner_text().count("anthropic rests") == 1
            page.goto("/console")
            assert page.locator(f".waiting a[href*='{number}']", has_text="Acknowledge").is_visible()
            page.set_viewport_size({"width": 1440, "height": 900})
            page.goto("/console/oncall")
            assert page.evaluate(CLIPPED) == []
            page.set_viewport_size({"width": 390, "height": 844})
            for action, button in (("oncall ack", "Acknowledge"), ("oncall page resolve", "Resolve")):
                page.goto("/console/oncall")
                page.locator(f"a[href*='{number}']", has_text=button).click()
                confirm(page, f"{button} by phone")
                assert logged(stack_env, action, f"{button} by phone")
                with engine.connect() as connection:
                    state = connection.execute(select(pages.c.status).where(pages.c.id == number)).scalar_one()
                assert state == {"Acknowledge": "acknowledged", "Resolve": "resolved"}[button]
            assert str(number) not in page.content()
    finally:
        with engine.begin() as connection:
            for table, column in (("page_events", "page_id"), ("page_deliveries", "page_id"), ("pages", "id")):
                connection.execute(text(f"DELETE FROM {table} WHERE {column} = :id"), {"id": number})  # noqa: S608 - our names
        engine.dispose()


def test_each_part_is_stopped_from_the_page_and_resumed(browser: Browser, service_url: str, key: str) -> None:
    with opened(browser, service_url, key, "phone", bypass_csp=True) as (_, page):
        for scope in ("prompt", "feature", "tool", "model", "tenant"):
            page.goto("/console/releases?tab=stops")
            page.get_by_role("button", name="Choose what to stop").click()
            field = page.locator(f"[form=kill-{scope}][name=name]")
            name = field.input_value()
            page.locator(f"#kill-{scope} button").click()
            confirm(page, f"a {scope}")
            page.goto("/console/releases?tab=stops")
            page.locator("tr", has_text=f"{scope} {name}").locator("a[href*='/do/resume']").click()
            confirm(page, f"{scope} again")
            assert page.locator("a[href*='/do/resume']").count() == 0


def test_a_release_without_eval_results_is_activated_by_force_alone(
    browser: Browser, service_url: str, key: str, stack_env: dict[str, str]
) -> None:
    with opened(browser, service_url, key, "phone", bypass_csp=True) as (_, page):
        page.goto(f"/console/do/release-activate?release={UNPROVEN}")
        refused(page, "an old one")
        page.goto(f"/console/do/release-activate-force?release={UNPROVEN}")
        confirm(page, "an old one by force")
        assert logged(stack_env, "release activate --force", "an old one by force")
        page.goto("/console/do/rollback")
        before = page.locator("input[name=before]").get_attribute("value")
        assert before == LIVE_RELEASE, "the form names it, so that another's rollback meanwhile changes nothing"
        confirm(page, "enough of the old one")
        page.locator(".figure", has_text="Live").get_by_role("link", name=LIVE_RELEASE).wait_for()


def test_a_candidate_is_dismissed_on_a_phone_and_reopened(
    browser: Browser, service_url: str, key: str, stack_env: dict[str, str]
) -> None:
    engine = create_engine(stack_env["OCTANT_DATABASE_URL"])
    values = {"digest": uuid.uuid4().hex, "at": datetime.now(UTC), "request_id": "r", "tenant": "acme", "user": "u",
              "feature": "support", "release": "1", "reasons": ["hand_over"], "times": 10_000, "asked": {"text": "why?"},
              "seen": {"answer": "no"}}  # fmt: skip
    with engine.begin() as connection:
        number = connection.execute(insert(eval_candidates).values(values).returning(eval_candidates.c.id)).scalar_one()
    try:
        with opened(browser, service_url, key, "phone", bypass_csp=True) as (_, page):
            page.goto("/console/evals/candidates?reason=hand_over")
            page.locator(f"#candidate-{number} a[href*='/do/evals-dismiss']").click()
            confirm(page, "no case by phone")
            page.goto("/console/evals/candidates?state=dismissed")
            assert "no case by phone" in page.locator(f"#candidate-{number}").inner_text()
            page.locator(f"#candidate-{number} a[href*='/do/evals-reopen']").click()
            confirm(page, "a case after all")
            page.goto("/console/evals/candidates?reason=hand_over")
            assert page.locator(f"#candidate-{number}").is_visible()
    finally:
        with engine.begin() as connection:
            connection.execute(delete(eval_candidates).where(eval_candidates.c.id == number))
        engine.dispose()
