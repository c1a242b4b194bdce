"""The HTTP client of the tests: session, post and polling."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

import aiohttp

SECONDS = 120.0  # patience: a wait for what should happen costs nothing when it is long, and the machine may be busy
T = TypeVar("T")


class Answer(NamedTuple):
    """Status, headers (their names in any case), and the body.

    The body is parsed where it is JSON, text otherwise.
    """

    status: int
    headers: Mapping[str, str]
    body: Any


@asynccontextmanager
async def session(url: str, key: str, **options: Any) -> AsyncIterator[aiohttp.ClientSession]:  # noqa: ANN401 - the client's own
    """Connections to a service, with a key on every request.

    An answer may take so long as a busy machine needs.
    """
    settings: dict[str, Any] = {"timeout": aiohttp.ClientTimeout(SECONDS), **options}
    async with aiohttp.ClientSession(url, headers={"authorization": f"Bearer {key}"}, **settings) as http:
        yield http


async def post(http: aiohttp.ClientSession, path: str, body: object, **headers: str) -> Answer:
    """Post JSON, or bytes as they are.

    Headers are given as keywords, with `_` for `-`.
    """
    sent: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
    async with http.post(path, headers={k.replace("_", "-"): v for k, v in headers.items()}, **sent) as answer:
        text = await answer.text()
        return Answer(answer.status, answer.headers, json.loads(text) if text[:1] in {"{", "["} else text)


async def post_text(http: aiohttp.ClientSession, path: str, body: object) -> tuple[int, str]:
    """Post JSON. Returns status and the body as it came."""
    async with http.post(path, json=body) as answer:
        return answer.status, await answer.text()


async def eventually(holds: Callable[[], Awaitable[T]], seconds: float = SECONDS) -> T:
    """Poll until the result is true, and return it.

    Fails after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not (found := await holds()):
        assert time.monotonic() < deadline, f"did not hold within {seconds} s"
        await asyncio.sleep(0.05)
    return found


async def get(http: aiohttp.ClientSession, path: str) -> Any:  # noqa: ANN401 - any JSON
    """Get JSON."""
    async with http.get(path) as answer:
        return await answer.json()


async def done(http: aiohttp.ClientSession, job_id: str, seconds: float = 20) -> Any:  # noqa: ANN401 - any JSON
    """The job, once it has ended."""

    async def is_done() -> bool:
        return (await get(http, f"/v1/jobs/{job_id}"))["state"] in {"succeeded", "failed", "cancelled"}

    await eventually(is_done, seconds)
    return await get(http, f"/v1/jobs/{job_id}")
