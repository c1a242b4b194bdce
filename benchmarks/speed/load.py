"""Load: as many requests as a server takes (`wrk`), or a fixed rate whose latencies count from the time a request was due."""

import asyncio
import json
import random
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path

import aiohttp

ROOT = Path(__file__).parents[2]
TEXTS, LENGTH = 3_000, 760  # more than any part of the service remembers
LONGEST_SECONDS = 30.0  # a request takes longer only if its server hangs
TEXT = b"$TEXT"  # in a body: each request has a text of its own there, or a server that remembers texts would be flattered
SCRIPT = """
wrk.method = "POST"
%s
local head, tail, texts, sent = [==[%s]==], [==[%s]==], {%s}, %d
request = function()
  sent = sent + 1
  return wrk.format(nil, nil, nil, head .. texts[sent %% #texts + 1] .. tail)
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{"requests": %%d, "seconds": %%.6f, "failures": %%d}\\n',
    summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Saturated:
    """The result of as many requests as went through."""

    requests: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Paced:
    """The result of a fixed rate. Latencies in milliseconds from the time at which each request was due."""

    latencies: Sequence[float]
    first_bytes: Sequence[float]
    failures: int

    def latency(self, part: float) -> float:
        """The latency that ``part`` of the requests had at most, milliseconds."""
        return quantile(self.latencies, part)

    def first_byte(self, part: float) -> float:
        """The same, until the first event of a stream."""
        return quantile(self.first_bytes, part)


@cache
def texts() -> Sequence[str]:
    """Some thousand texts of `LENGTH` characters: running words of our own documents, and so of a language's usual mix."""
    pages = " ".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))
    words = " ".join(re.findall(r"[A-Za-z]+[.,:?]?(?= )", pages))
    starts = range(0, len(words) - LENGTH, (len(words) - LENGTH) // TEXTS)
    return [words[start : start + LENGTH].strip() for start in starts]


def quantile(values: Sequence[float], part: float) -> float:
    """The value that ``part`` of ``values`` do not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def saturate(
    url: str, body: bytes, headers: Mapping[str, str], *, connections: int, seconds: float, known: bool = False
) -> Saturated:
    """Send on ``connections`` at once, each its next request when it has its answer. Ends everything if one fails.

    ``body``: JSON, with `TEXT` where a text stands. ``known``: all requests have the same, as earlier turns of a conversation.
    """
    if shutil.which("wrk") is None:
        raise SystemExit("`wrk` is not installed. Install it: make tools")
    head, _, tail = body.decode().partition(TEXT.decode())
    quoted = ",".join(f'"{one}"' for one in texts()[: 1 if known else None])
    fields = "\n".join(f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items())
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        begin = random.randrange(len(texts()))  # noqa: S311 - so that no part of a run begins with the texts of the one before
        Path(script.name).write_text(SCRIPT % (fields, head, tail, quoted, begin), encoding="utf-8")
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds:g}s",
            "--timeout",
            f"{LONGEST_SECONDS:g}s",
            "-s",
            script.name,
            url,
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + LONGEST_SECONDS)
    found = json.loads(done.stdout.splitlines()[-1])
    if found["failures"] or not found["requests"]:
        raise SystemExit(f"{url}: {found['failures']} of {found['requests']} requests failed; the figures would mean nothing")
    return Saturated(found["requests"], found["seconds"])


async def paced(url: str, body: bytes, headers: Mapping[str, str], *, rate: float, seconds: float) -> Paced:
    """Send a request each ``1 / rate`` seconds, whether the last has its answer or not."""
    timeout = aiohttp.ClientTimeout(total=LONGEST_SECONDS)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=headers, connector=connector, timeout=timeout) as session:
        bodies = (body.replace(TEXT, text.encode()) for text in cycle(random.sample(texts(), len(texts()))))
        started = time.perf_counter()
        tasks = []
        for number in range(round(rate * seconds)):
            due = started + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(_send(session, url, next(bodies), due)))
        done = await asyncio.gather(*tasks)
    good = [(first, whole) for ok, first, whole in done if ok]
    return Paced([whole for _, whole in good], [first for first, _ in good], len(done) - len(good))


async def _send(session: aiohttp.ClientSession, url: str, body: bytes, due: float) -> tuple[bool, float, float]:
    """Whether it was answered whole; milliseconds from ``due`` to its first byte of content and to its end."""
    try:
        async with session.post(url, data=body) as answer:
            first = 0.0
            tail = b""
            async for piece in answer.content.iter_any():
                first = first or (time.perf_counter() - due) * 1000
                tail = (tail + piece)[-64:]
            whole = answer.content_type != "text/event-stream" or b"[DONE]" in tail
            return answer.status == 200 and whole and first > 0, first, (time.perf_counter() - due) * 1000
    except (aiohttp.ClientError, TimeoutError):
        return False, 0.0, 0.0
