"""`make bench-console`: the first byte of each page of the console, and large things in Chromium.

A trace of 2,000 spans, 10,000 calls and a text of 5 MB are planted. With `--write` the table goes into `docs/console.md` between
the markers, the machine's load beside it. Exit code 1 where a first byte is over 150 ms, or the waterfall over 300 ms.
"""

import argparse
import asyncio
import http.client
import json
import os
import re
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy.ext.asyncio import create_async_engine

from app.audit.rows import Writer
from app.console.console import COOKIE
from app.console.navigation import PAGES
from app.console.readiness.document import chromium
from app.domain.calls import Attempt, Usage
from app.domain.money import MicroUSD
from app.domain.records import CallRecord, step_text
from benchmarks.service import octant, serving, set_up, stores_and_simulator

DOCUMENT = Path("docs/console.md")
FIRST_BYTE, DRAWN = 150.0, 300.0
CALLS, LARGE = 667, 5 * 1024 * 1024  # a call has itself, an attempt and a tool; the first has an edge
ROWS = 10_000
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SLOW = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}  # Chromium's "3G"
FRAMES = """
new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
  const way = performance.getEntriesByType("navigation")[0], drawn = performance.now();
  new PerformanceObserver((list) => {
    const paint = list.getEntriesByName("first-contentful-paint")[0]; // it may come after the page is loaded
    if (paint) done({first: way.responseStart, end: way.responseEnd, parsed: way.domInteractive, loaded: way.loadEventEnd,
      drawn, paint: paint.startTime, nodes: document.querySelectorAll("*").length,
      bytes: performance.getEntriesByType("resource").reduce((sum, one) => sum + one.transferSize, way.transferSize)});
  }).observe({type: "paint", buffered: true});
})))
"""


@dataclass(frozen=True, slots=True)
class Planted:
    """Addresses of the large things."""

    trace: str
    large: str
    small: str


def main() -> int:
    """Plant, measure, print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--write", action="store_true", help=f"write the table into {DOCUMENT}")
    options.add_argument("--times", type=int, default=15, help="requests of each page")
    chosen = options.parse_args()
    with stores_and_simulator() as (env, _):
        env["OCTANT_WORKERS"] = "1"
        set_up(env)
        key = octant(env, "key", "create", "rehearsal", "--name", "console", "--scope", "admin", "--quiet")
        planted = asyncio.run(_plant(env["OCTANT_DATABASE_URL"]))
        with serving(env) as (url, _):
            lines, failed = _measured(url, key, planted, chosen.times)
    table = "\n".join(lines)
    print(table)
    if chosen.write:
        text = DOCUMENT.read_text()
        DOCUMENT.write_text(
            re.sub(r"(<!-- sizes -->\n).*?(<!-- /sizes -->)", lambda m: f"{m[1]}{table}\n{m[2]}", text, flags=re.DOTALL)
        )
    return int(failed)


def _measured(url: str, key: str, planted: Planted, times: int) -> tuple[list[str], bool]:
    token = _signed_in(url, key)
    paths = {**{page.title: page.path for page in PAGES}, "Calls, 10,000 of them": "/console/calls?range=24h&tenant=many",
             "Trace of 2,000 spans": planted.trace, "Trace with a text of 5 MB": planted.large}  # fmt: skip
    lines = [
        f"Median (longest) of {times} requests, one worker, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} meanwhile.", "",
        "| page | first byte | bytes of HTML |", "|---|---|---|",
    ]  # fmt: skip
    failed = False
    for title, path in paths.items():
        found = [_first_byte(url, path, token) for _ in range(times)]
        first = statistics.median(one[0] for one in found)
        failed = failed or first > FIRST_BYTE
        lines.append(f"| {title} | {first:.0f} ms ({max(one[0] for one in found):.0f} ms) | {found[-1][1]:,} |")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        lines += ["", "| in Chromium | figure |", "|---|---|"]
        for line, good in _drawn(browser, url, token, planted):
            lines.append(line)
            failed = failed or not good
        browser.close()
    return lines, failed


def _drawn(browser: Browser, url: str, token: str, planted: Planted) -> Iterator[tuple[str, bool]]:
    found = [_visit(browser, url, planted.trace, token, again=True) for _ in range(5)]
    small = [_visit(browser, url, planted.small, token, again=True) for _ in range(5)]
    drawn, least = (statistics.median(one["drawn"] - one["end"] for one in visits) for visits in (found, small))
    figures = f"{drawn:.0f} ms ({found[0]['nodes']:,.0f} nodes); a trace of one call {least:.0f} ms"
    yield f"| 2,000 spans: from the last byte to the frame that shows them | {figures} |", drawn <= DRAWN
    new = [
        statistics.median(one["drawn"] - one["end"] for one in (_visit(browser, url, path, token) for _ in range(3)))
        for path in (planted.trace, planted.small)
    ]
    yield f"| the same in a new window, with nothing kept | {new[0]:.0f} ms; a trace of one call {new[1]:.0f} ms |", True
    large = _visit(browser, url, planted.large, token)
    yield f"| a text of 5 MB: bytes of its page before the click | {large['bytes'] / 1000:.0f} kB |", large["bytes"] < 1_000_000
    clicked = statistics.median(_visit(browser, url, planted.large, token, click=True)["shown"] for _ in range(3))
    yield f"| the same: from the click to the whole text on the page | {clicked:.0f} ms |", True
    for title, path in (("Overview", "/console"), ("Calls", "/console/calls?range=24h&tenant=many")):
        cold = _visit(browser, url, path, token, slow=True)
        warm = _visit(browser, url, path, token, slow=True, again=True)
        paints = ", ".join(f"{one['paint'] / 1000:.1f} s ({one['bytes'] / 1000:.0f} kB)" for one in (cold, warm))
        yield f"| {title} on a slow network (400 kbit/s, 400 ms): first paint, new and again | {paints} |", True


def _visit(
    browser: Browser, url: str, path: str, token: str, *, slow: bool = False, again: bool = False, click: bool = False
) -> Mapping[str, float]:
    """Figures of one visit in a new window. ``again``: of a second one, with what the browser has kept."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, bypass_csp=True)  # for the waits of `_clicked`
    context.add_cookies([{"name": COOKIE, "value": token, "url": url.replace("http:", "https:"), "secure": True}])
    page = context.new_page()
    if slow:
        context.new_cdp_session(page).send("Network.emulateNetworkConditions", SLOW)
    for _ in range(2 if again else 1):
        page.goto(url + path, wait_until="load", timeout=120_000)
    found: dict[str, float] = page.evaluate(FRAMES)
    if click:
        found["shown"] = _clicked(page)
    context.close()
    return found


def _clicked(page: Page) -> float:
    button = page.locator("button[data-whole]").first
    button.evaluate("(one) => { for (let at = one; at; at = at.parentElement) if (at.tagName === 'DETAILS') at.open = true; }")
    began = time.perf_counter()
    button.click()
    page.wait_for_function("document.body.textContent.includes('the end of it')", timeout=60_000)
    return (time.perf_counter() - began) * 1000


def _first_byte(url: str, path: str, token: str) -> tuple[float, int]:
    """Milliseconds to the first byte of the answer, and its length. Raises RuntimeError where it is not a page."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.connect()
    began = time.perf_counter()
    connection.request("GET", path, headers={"cookie": f"{COOKIE}={token}"})
    answer = connection.getresponse()
    took = (time.perf_counter() - began) * 1000
    body = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status}")
    return took, len(body)


def _signed_in(url: str, key: str) -> str:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.request("POST", "/console/sign-in", urlencode({"key": key, "to": "/console"}))
    cookie = connection.getresponse().headers["set-cookie"]
    found = re.search(rf"{COOKIE}=([\w-]+);", cookie)
    return found[1] if found else ""


async def _plant(database: str) -> Planted:
    engine, now = create_async_engine(database), datetime.now(UTC)
    writer, trace, large = Writer(engine), uuid4().hex, uuid4().hex
    tool = step_text([("tool", "get_order", 0, 5_000_000, False)], 6_000_000)
    start = now - timedelta(minutes=30)
    same = {"trace_id": trace, "request_id": f"req_{trace}"}
    spans = [_record(start + timedelta(milliseconds=n * 20), before_ms=n * 20.0 + 3, steps=tool, **same) for n in range(CALLS)]
    whole = json.dumps({"messages": [{"role": "user", "parts": [{"text": "word " * (LARGE // 5) + "the end of it"}]}]})
    await writer.write([*spans, _record(now - timedelta(minutes=20), trace_id=large, request=whole)])
    small = uuid4().hex
    await writer.write([_record(now - timedelta(minutes=21), trace_id=small)])
    for first in range(0, ROWS, 1000):
        await writer.write([_record(now - timedelta(seconds=7 * n), tenant="many") for n in range(first, first + 1000)])
    await engine.dispose()
    return Planted(f"/console/traces/{trace}", f"/console/traces/{large}", f"/console/traces/{small}")


def _record(at: datetime, **changes: Any) -> CallRecord:  # noqa: ANN401 - any field of a record
    usage = Usage(input=900, output=80)
    attempt = Attempt(
        number=1, provider="anthropic", model="claude-sonnet-5-5", outcome="ok", started_ms=1.0, latency_ms=11.0, usage=usage,
        cost=MicroUSD(3000),
    )  # fmt: skip
    values: dict[str, Any] = {
        "id": f"call_{uuid4().hex}", "request_id": f"req_{uuid4().hex}", "trace_id": uuid4().hex, "tenant": "rehearsal",
        "user": "ada", "key_id": "1a2b3c4d", "feature": "support.answer", "target": "support/answer", "release": "2026-11-22",
        "prompt": None, "prompt_version": None, "provider": "anthropic", "model": "claude-sonnet-5-5", "model_answered": None,
        "stream": False, "outcome": "ok", "error": None, "latency_ms": 14.0, "ttft_ms": 5.0, "overhead_ms": 2.0, "usage": usage,
        "cost": MicroUSD(3000), "held": MicroUSD(9000), "fallbacks": 0, "degraded": (), "request": '{"messages": []}' ,
        "response": '{"parts": [{"text": "It takes three days."}]}', "attempts": (attempt,),
    }  # fmt: skip
    return CallRecord(at=at, **(values | changes))


if __name__ == "__main__":
    sys.exit(main())
