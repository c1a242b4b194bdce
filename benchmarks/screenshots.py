"""`make screenshots`: the console's pages in Chromium, of a demo that lives through an outage, a rollback and a game day.

It starts a demo of its own with sample traffic, and writes the pictures of the README and the tour to docs/images. ``--all``
writes every page instead, in both themes and on both widths, to .octant/screenshots: to look at, not to keep.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
from playwright.sync_api import Browser, sync_playwright

from app.console.navigation import PAGES
from app.console.readiness.document import chromium
from app.console.tour import STOPS
from app.oncall.gamedays import FOLDER as FOLDER_OF_GAMEDAYS
from app.settings import load
from app.stack.gameday.report import LOG
from app.stack.setup import first_releases
from benchmarks.products import REQUESTS

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images"
START_SECONDS = PROGRAMME_SECONDS = 300.0
EVERY_PAGE = Path(".octant/screenshots")
DESKTOP, WIDE, PHONE = (1280, 800), (1440, 900), (390, 844)
TRACE = "a trace with a tool"  # its address is found on the page of calls
WORDS = ("Hello", "When does the shop open?", "Write a haiku on looms.")
PLAIN = [
    ("/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": words}]})
    for model in ("smart", "fast")
    for words in WORDS
]


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo. ``env``: for commands against it."""

    url: str
    key: str
    env: dict[str, str]

    def octant(self, *words: str) -> str:
        """Run a command; its output."""
        command = [sys.executable, "-m", "app.cli", *words]
        ended = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        if ended.returncode:
            sys.exit(f"octant {' '.join(words)} failed:\n{ended.stdout}{ended.stderr}")
        return ended.stdout


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: of a page, in a window of a size, in a theme; ``whole``: with what is below the window."""

    name: str
    path: str
    size: tuple[int, int] = DESKTOP
    theme: str = "light"
    whole: bool = False


@contextmanager
def demo() -> Iterator[Demo]:
    """A demo in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="octant-screenshots-") as name:
        notice = Path(name) / "notice.json"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("OCTANT_", "OPENAI_", "ANTHROPIC_"))}
        ports = dict.fromkeys(("OCTANT_PORT", "OCTANT_METRICS_PORT", "OCTANT_WORKER_METRICS_PORT"), "0")
        env = {**kept, "OCTANT_STATE_DIR": str(Path(name) / "state"), **ports}
        command = [sys.executable, "-m", "app.cli", "demo", "--notice", str(notice)]
        with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as process:
            ends = time.monotonic() + START_SECONDS
            while not (notice.exists() and notice.read_text()):
                if process.poll() is not None or time.monotonic() > ends:
                    sys.exit("The demo did not start.")
                time.sleep(0.2)
            noted = json.loads(notice.read_text())
            try:
                yield Demo(noted["url"], noted["key"], env)
            finally:
                process.send_signal(signal.SIGTERM)


async def traffic(at: Demo, seconds: float, *, per_second: float) -> None:
    """Send mixed calls, of a few users, at random times."""
    drawn = random.Random(7)  # noqa: S311 - the pictures of two runs show the same mix
    headers = {"authorization": f"Bearer {at.key}"}
    async with aiohttp.ClientSession(at.url, headers=headers) as http, asyncio.TaskGroup() as group:

        async def send() -> None:
            path, body = drawn.choice([*PLAIN, *REQUESTS.values()])
            async with http.post(path, json={**body, "user": drawn.choice(("ada", "grace", "mary", "joan"))}) as answer:
                await answer.read()

        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            group.create_task(send())
            await asyncio.sleep(drawn.expovariate(per_second))


def live_through(at: Demo) -> None:
    """The programme of a first start with its game day, calls, an outage, more calls, a rollback and the way forward."""
    ends = time.monotonic() + PROGRAMME_SECONDS
    while not (Path(at.env["OCTANT_STATE_DIR"]) / FOLDER_OF_GAMEDAYS / LOG).exists():
        if time.monotonic() > ends:
            sys.exit("The demo's programme did not end.")
        time.sleep(1)
    asyncio.run(traffic(at, 40, per_second=8))
    at.octant("simulate", "outage", "anthropic")
    asyncio.run(traffic(at, 15, per_second=8))
    at.octant("simulate", "clear")
    newest = first_releases(load())[-1]
    at.octant("rollback", "--reason", "answers got longer")
    asyncio.run(traffic(at, 5, per_second=8))
    at.octant("release", "activate", newest, "--reason", "the prompt is mended")
    asyncio.run(traffic(at, 30, per_second=8))


def wanted(at: Demo, *, every: bool) -> list[Picture]:
    """Every stop of the tour and the pages of the README, or ``every`` page in both themes and on both widths."""
    game = max((Path(at.env["OCTANT_STATE_DIR"]) / "gameday").glob("*.json")).stem
    if every:
        paths = {page.name or "overview": page.path for page in PAGES}
        paths |= {"trace": TRACE, "game": f"/console/gameday/{game}", "ask": "/console/do/rollback",
                  "tenant": "/console/budgets/acme", "candidates": "/console/evals/candidates"}  # fmt: skip
        return [
            Picture(f"{name}-{theme}-{size[0]}", path, size, theme, whole=True)
            for name, path in paths.items()
            for theme in ("light", "dark")
            for size in (WIDE, PHONE)
        ]
    found = [Picture(f"tour-{number}-{stop.axis.lower()}", stop.path) for number, stop in enumerate(STOPS, 1)]
    found[1] = replace(found[1], path=TRACE)
    return [
        *found,
        Picture("overview-dark", "/console?range=15m", WIDE, theme="dark"),
        Picture("overview-phone", "/console?range=15m", PHONE),
        Picture("readiness", "/console/readiness"),
        Picture("gameday", f"/console/gameday/{game}"),
    ]


def take(at: Demo, browser: Browser, key: str, picture: Picture, folder: Path) -> None:
    """Sign in, open the page, and write it."""
    width, height = picture.size
    context = browser.new_context(
        base_url=at.url, viewport={"width": width, "height": height}, color_scheme="dark" if picture.theme == "dark" else "light",
        timezone_id="UTC", reduced_motion="reduce",
    )  # fmt: skip
    page = context.new_page()
    page.goto("/console/sign-in")
    page.fill("#key", key)
    page.keyboard.press("Enter")
    page.wait_for_url("**/console")
    if picture.path == TRACE:
        page.goto("/console/calls?range=1h&text=order")
        call = page.locator("[data-row] a").first.get_attribute("href") or ""
        page.goto(call.partition("#")[0])  # the trace whole, from its top
    else:
        page.goto(picture.path)
    page.wait_for_timeout(1500)
    page.screenshot(path=folder / f"{picture.name}.png", full_page=picture.whole)
    print(f"{picture.name}.png", flush=True)
    context.close()


def main() -> None:
    """Start a demo, live through it, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="every page, in both themes and on both widths")
    every = parser.parse_args().all
    found = chromium()
    if found is None:
        sys.exit("Chromium is not installed: run `make tools`")
    folder = EVERY_PAGE if every else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with demo() as at:
        live_through(at)
        key = at.octant("key", "create", "acme", "--name", "screenshots", "--scope", "admin", "--quiet").strip()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
            for picture in wanted(at, every=every):
                take(at, browser, key, picture, folder)


if __name__ == "__main__":
    main()
