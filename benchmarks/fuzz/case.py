"""One request as bytes on a socket: its content, its framing and its delivery."""

import json
from dataclasses import dataclass, replace
from typing import Any, Literal

Framing = Literal["length", "chunked", "none", "short", "long", "both", "twice"]
Delivery = Literal["whole", "split", "pipelined", "half_closed", "cut", "left", "garbled"]
PIPELINED = 3
# Framings and deliveries of a request that is complete: each such request must be answered.
WELL_FRAMED: frozenset[Framing] = frozenset({"length", "chunked"})
DELIVERED: frozenset[Delivery] = frozenset({"whole", "split", "pipelined"})
BODILESS = (b"GET", b"HEAD", b"DELETE", b"OPTIONS")


@dataclass(frozen=True, slots=True)
class Raw:
    """JSON text that Python would not write: ``1e400``, a huge integer, half of a surrogate pair."""

    text: str


@dataclass(frozen=True, slots=True)
class Doubled:
    """An object whose ``key`` comes twice, the second time with ``value``."""

    members: dict[str, Any]
    key: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """``tree`` is the JSON of the body; ``body`` goes before it. ``port`` names a listener."""

    port: str = "public"
    method: bytes = b"GET"
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    tree: Any = None
    body: bytes | None = None
    framing: Framing = "length"
    delivery: Delivery = "whole"
    flips: tuple[tuple[int, int], ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the server has all of the request, and so owes an answer."""
        return self.framing in WELL_FRAMED and self.delivery in DELIVERED and not self.flips

    @property
    def copies(self) -> int:
        """How often the request is sent on its connection."""
        return PIPELINED if self.delivery == "pipelined" else 1

    def content(self) -> bytes:
        """The body's bytes."""
        if self.body is not None:
            return self.body
        return b"" if self.tree is None else dump(self.tree).encode("utf-8", "surrogatepass")

    def as_bytes(self) -> bytes:
        """One copy of the request."""
        content, headers = self.content(), list(self.headers)
        if self.framing == "chunked":
            headers.append((b"transfer-encoding", b"chunked"))
            content = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in _parts(content)) + b"0\r\n\r\n"
        elif self.framing != "none" and (content or self.method not in BODILESS):
            length = len(content) + {"short": -1, "long": 100}.get(self.framing, 0)
            headers.append((b"content-length", b"%d" % max(0, length)))
            if self.framing == "both":
                headers.append((b"transfer-encoding", b"chunked"))
            if self.framing == "twice":
                headers.append((b"content-length", b"%d" % (length + 1)))
        head = b"".join(b"%s: %s\r\n" % header for header in headers)
        whole = bytearray(b"%s %s HTTP/1.1\r\n%s\r\n%s" % (self.method, self.target, head, content))
        for place, value in self.flips:
            whole[place % len(whole)] = value
        return bytes(whole)

    def simpler(self) -> "list[Case]":
        """Cases that say less, the boldest first: a failure is shown by the last that still fails."""
        found: list[Case] = [replace(self, flips=())] if self.flips else []
        found += [replace(self, delivery="whole")] if self.delivery != "whole" else []
        found += [replace(self, framing="length")] if self.framing != "length" else []
        found += [replace(self, flips=self.flips[:n] + self.flips[n + 1 :]) for n in range(len(self.flips))]
        path, mark, query = self.target.partition(b"?")
        found += [replace(self, target=path)] if mark else []
        pairs = query.split(b"&")
        if len(pairs) > 1:
            found += [replace(self, target=path + b"?" + b"&".join(pairs[:n] + pairs[n + 1 :])) for n in range(len(pairs))]
        found += [replace(self, headers=self.headers[:n] + self.headers[n + 1 :]) for n in range(len(self.headers))]
        if self.body is not None:
            size = max(1, len(self.body) // 4)
            places = range(0, len(self.body), size)
            return found + [replace(self, body=self.body[:at] + self.body[at + size :]) for at in places]
        return found + [replace(self, tree=tree) for tree in smaller(self.tree)]


def dump(value: Any) -> str:  # noqa: ANN401 - a tree with `Raw` and `Doubled` in it
    """A tree as JSON text. Loops, and does not recurse into arrays of one element: nests may be deeper than Python's stack."""
    before, after = "", ""
    while isinstance(value, list) and len(value) == 1:
        before, after, value = before + "[", after + "]", value[0]
    if isinstance(value, Raw):
        text = value.text
    elif isinstance(value, Doubled):
        members = [*value.members.items(), (value.key, value.value)]
        text = "{" + ",".join(f"{json.dumps(key)}:{dump(member)}" for key, member in members) + "}"
    elif isinstance(value, dict):
        text = "{" + ",".join(f"{json.dumps(key)}:{dump(member)}" for key, member in value.items()) + "}"
    elif isinstance(value, list):
        text = "[" + ",".join(map(dump, value)) + "]"
    else:
        text = json.dumps(value)
    return before + text + after


def smaller(tree: Any) -> list[Any]:  # noqa: ANN401 - any JSON
    """Trees with one part less."""
    if isinstance(tree, Doubled):
        return [tree.members]
    if isinstance(tree, dict):
        less = [{key: value for key, value in tree.items() if key != gone} for gone in tree]
        return less + [{**tree, key: part} for key, value in tree.items() for part in smaller(value)]
    if isinstance(tree, list):
        halves = [tree[: len(tree) // 2], tree[len(tree) // 2 :]] if len(tree) > 1 else []
        inside = [[*tree[:n], part, *tree[n + 1 :]] for n, value in enumerate(tree[:20]) for part in smaller(value)]
        return halves + ([tree[:n] + tree[n + 1 :] for n in range(min(len(tree), 20))] if tree else []) + inside
    if isinstance(tree, str) and len(tree) > 1:
        return [tree[: len(tree) // 2], tree[len(tree) // 2 :]]
    return []


def _parts(content: bytes) -> list[bytes]:
    return [content[at : at + 61] for at in range(0, min(len(content), 6100), 61)] + (
        [content[6100:]] if len(content) > 6100 else []
    )
