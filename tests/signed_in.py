"""A person at the console, without a browser: signs in, follows its forms, and keeps the cookie."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from html import unescape
from typing import NamedTuple

import aiohttp

COOKIE = "__Host-octant-console"
_CSRF = re.compile(r'data-csrf="([0-9a-f]+)"')
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL)
_ROW = re.compile(r"<tr\b.*?</tr>", re.DOTALL)
_CELL = re.compile(r"<t[dh]\b[^>]*>(.*?)</t[dh]>", re.DOTALL)


class Shown(NamedTuple):
    """An answer. ``text``: its HTML."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def words(self) -> str:
        """The text as a person reads it, on one line."""
        return _words(self.text)

    @property
    def rows(self) -> list[list[str]]:
        """The rows of its tables, heads included, a text for each cell."""
        return [[_words(cell) for cell in _CELL.findall(row)] for row in _ROW.findall(self.text)]


def _words(html: str) -> str:
    return " ".join(unescape(_TAG.sub(" ", html)).split())


class Person:
    """Follows no redirect: where it leads is asserted."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self.token = ""

    async def get(self, path: str, **headers: str) -> Shown:
        return await self._asked("GET", path, headers)

    async def post(self, path: str, fields: dict[str, str], **headers: str) -> Shown:
        return await self._asked("POST", path, headers, data=fields)

    async def submit(self, path: str, fields: dict[str, str]) -> Shown:
        """Send a form with the token that the session's pages carry."""
        csrf = _CSRF.search((await self.get("/console/runbook-of-nothing")).text)
        assert csrf, "the page of a session carries its token"
        return await self.post(path, {"csrf": csrf[1], **fields})

    async def _asked(self, method: str, path: str, headers: dict[str, str], **sent: object) -> Shown:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            named.setdefault("cookie", f"{COOKIE}={self.token}")
        async with self._http.request(method, path, headers=named, allow_redirects=False, **sent) as answer:  # type: ignore[arg-type]
            return Shown(answer.status, answer.headers, (await answer.read()).decode("utf-8", "replace"))


@asynccontextmanager
async def person(url: str) -> AsyncIterator[Person]:
    """Someone who has not signed in."""
    async with aiohttp.ClientSession(url, cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield Person(http)


@asynccontextmanager
async def signed_in(url: str, key: str) -> AsyncIterator[Person]:
    """Someone who has."""
    async with person(url) as one:
        answer = await one.post("/console/sign-in", {"key": key, "to": "/console"})
        assert answer.status == 303, answer.words
        found = re.search(rf"{COOKIE}=([\w-]+);", answer.headers["set-cookie"])
        assert found
        one.token = found[1]
        yield one
