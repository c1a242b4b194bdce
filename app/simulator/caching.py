"""Prompt caching as Anthropic does it (docs.anthropic.com, "Prompt caching"): prefixes that end at a mark, read and written."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.simulator import tokens

LEAST = 1024  # tokens; a shorter prefix is not cached
LOOKED_BACK = 20  # blocks before a mark, at which an earlier request's prefix may end


@dataclass(frozen=True, slots=True)
class Prefixes:
    """A request's prefixes: the hash and the share of the input at each block, and the marks with their time to live."""

    ends: tuple[tuple[str, float], ...] = ()
    marks: tuple[tuple[int, str], ...] = ()


def prefixes_of(body: Mapping[str, Any]) -> Prefixes:
    """The prefixes of a request in Anthropic's form."""
    digest, made, ends, marks = hashlib.sha256(str(body["model"]).encode()), 0, [], []
    blocks = list(_blocks(body))
    if automatic := body.get("cache_control"):
        blocks[-1] = {"cache_control": automatic, **blocks[-1]}
    for at, block in enumerate(blocks):
        text = json.dumps({name: value for name, value in block.items() if name != "cache_control"}, sort_keys=True)
        digest.update(text.encode())
        made += tokens.count(text)
        ends.append((digest.hexdigest(), made))
        if mark := block.get("cache_control"):
            marks.append((at, str(mark.get("ttl", "5m"))))
    return Prefixes(tuple((key, count / max(made, 1)) for key, count in ends), tuple(marks))


def _blocks(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from body.get("tools") or ()
    for content in (body.get("system") or (), *(message["content"] for message in body["messages"])):
        if isinstance(content, str):
            yield {"type": "text", "text": content}
        else:
            yield from content


@dataclass(slots=True)
class PromptCache:
    """What was written. Nothing expires: no test lasts five minutes."""

    written: set[str] = field(default_factory=set)

    def count(self, prefixes: Prefixes, input_tokens: int) -> tuple[int, int, int]:
        """Tokens read, written for five minutes, and written for an hour, of a request's input."""
        marks = [(at, ttl) for at, ttl in prefixes.marks if prefixes.ends[at][1] * input_tokens >= LEAST]
        near = {at for mark, _ in marks for at in range(max(0, mark - LOOKED_BACK), mark + 1)}
        found = [at for at in near if prefixes.ends[at][0] in self.written]
        read = int(prefixes.ends[max(found)][1] * input_tokens) if found else 0
        made, before = {"5m": 0, "1h": 0}, read
        for at, ttl in marks:
            until = int(prefixes.ends[at][1] * input_tokens)
            made[ttl] += max(0, until - before)
            before = max(before, until)
            self.written.add(prefixes.ends[at][0])
        return read, made["5m"], made["1h"]
