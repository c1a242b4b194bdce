"""Mutates valid requests: the same for the same random numbers.

No mutation makes an address off this machine, and the fuzz runs no `octant worker`: no webhook is ever sent.
"""

import random
import string
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.fuzz.case import BODILESS, Case, Delivery, Doubled, Framing, Raw
from benchmarks.fuzz.hostile import HEADERS, METHODS, NUMBERS, QUERIES, RAW, SCHEMAS, STEPS, TEXTS, VALUES

FRAMINGS: tuple[Framing, ...] = ("length", "chunked", "none", "short", "long", "both", "twice")
DELIVERIES: tuple[Delivery, ...] = ("split", "pipelined", "half_closed", "cut", "left", "garbled")
DEEP = 2000


def mutated(case: Case, chance: random.Random) -> Case:
    """Make one to four changes, most of them to the content."""
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4))):
        change = chance.choices(CHANGES, WEIGHTS)[0]
        case = change(case, chance)
    return case


def _body(case: Case, chance: random.Random) -> Case:
    if case.tree is None:
        return case if case.method in BODILESS else replace(case, tree=_value(chance))
    return replace(case, tree=_changed(case.tree, chance))


def _bytes(case: Case, chance: random.Random) -> Case:
    content = bytearray(case.content())
    if not content:
        return case
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(content)) if content else 0
        kind = chance.randrange(4)
        if kind == 0 and content:
            content[at] = chance.randrange(256)
        elif kind == 1:
            content[at:at] = chance.choice(
                (b"\0", b"\xff", b"\xed\xa0\x80", b"\xf0\x9f", b"{", b"]", b'"', b"\\u", b"\xef\xbb\xbf")
            )
        elif kind == 2:
            del content[at : at + chance.randint(1, 20)]
        else:
            content = content[:at]
    return replace(case, body=bytes(content))


def _headers(case: Case, chance: random.Random) -> Case:
    headers = list(case.headers)
    if not headers:
        return case
    kind = chance.randrange(5)
    if kind == 0:
        headers.pop(chance.randrange(len(headers)))
    elif kind == 1:
        headers.append(chance.choice(headers))
    elif kind == 2:
        headers += [(b"x-%d" % n, b"y" * chance.choice((1, 400))) for n in range(chance.choice((20, 95, 120)))]
    else:
        headers.insert(chance.randrange(len(headers) + 1), (chance.choice(HEADERS), chance.choice(VALUES)))
    return replace(case, headers=tuple(headers))


def _target(case: Case, chance: random.Random) -> Case:
    path, mark, query = case.target.partition(b"?")
    kind = chance.randrange(7)
    if kind <= 1 and mark:
        pairs = query.split(b"&")
        at = chance.randrange(len(pairs))
        pairs[at] = pairs[at].partition(b"=")[0] + b"=" + chance.choice(QUERIES)
        return replace(case, target=path + b"?" + b"&".join(pairs))
    if kind == 2:
        return replace(
            case,
            target=case.target
            + (b"&" if mark else b"?")
            + chance.choice((b"limit", b"after", b"x"))
            + b"="
            + chance.choice(QUERIES),
        )
    steps = path.split(b"/")
    if len(steps) < 2:
        return case
    at = chance.randrange(1, len(steps))
    steps[at] = chance.choice(STEPS)
    whole = b"/".join(steps)
    if kind == 6:
        whole = chance.choice(
            (b"*", b"http://evil.example" + path, b"//" + path, path + b"/", path.upper(), b"/" + path, path + b"#x")
        )
    return replace(case, target=whole + mark + query)


def _method(case: Case, chance: random.Random) -> Case:
    return replace(case, method=chance.choice(METHODS))


def _framing(case: Case, chance: random.Random) -> Case:
    return replace(case, framing=chance.choice(FRAMINGS))


def _delivery(case: Case, chance: random.Random) -> Case:
    return replace(case, delivery=chance.choice(DELIVERIES))


def _flips(case: Case, chance: random.Random) -> Case:
    length = len(replace(case, flips=()).as_bytes())
    return replace(case, flips=tuple((chance.randrange(length), chance.randrange(256)) for _ in range(chance.randint(1, 3))))


CHANGES: Sequence[Callable[[Case, random.Random], Case]] = (
    _body,
    _bytes,
    _headers,
    _target,
    _method,
    _framing,
    _delivery,
    _flips,
)
WEIGHTS = (46, 8, 14, 12, 3, 6, 8, 3)


def _changed(tree: Any, chance: random.Random) -> Any:  # noqa: ANN401 - any JSON
    """A copy with one change, somewhere: at each level it goes deeper with a chance that meets all depths."""
    if isinstance(tree, dict) and tree and chance.random() < 0.8:
        key = chance.choice(sorted(tree))
        return {**tree, key: _changed(tree[key], chance)}
    if isinstance(tree, list) and tree and chance.random() < 0.8:
        at = chance.randrange(len(tree))
        return [*tree[:at], _changed(tree[at], chance), *tree[at + 1 :]]
    if isinstance(tree, dict) and tree and chance.random() < 0.6:
        return _other_members(tree, chance)
    if isinstance(tree, list) and chance.random() < 0.6:
        return chance.choice(([], tree * 2, tree * chance.choice((50, 3000)), [*tree, _value(chance)], [[tree]], tree[::-1]))
    if isinstance(tree, str) and chance.random() < 0.3:
        at = chance.randrange(len(tree) + 1)
        return tree[:at] + chance.choice(TEXTS) + tree[at:]
    return _value(chance)


def _other_members(tree: dict[str, Any], chance: random.Random) -> Any:  # noqa: ANN401 - any JSON
    key = chance.choice(sorted(tree))
    kind = chance.randrange(5)
    if kind == 0:
        return {name: value for name, value in tree.items() if name != key}
    if kind == 1:
        return Doubled(tree, key, _value(chance))
    if kind == 2:
        return {**tree, chance.choice(("", "\0", "__proto__", "x" * 500, "\ud800", "metadata", "user", "stream")): _value(chance)}
    if kind == 3:
        return {**tree, key: tree[chance.choice(sorted(tree))]}
    return {(name.upper() if name == key else name): value for name, value in tree.items()}


def _value(chance: random.Random) -> Any:  # noqa: ANN401 - any JSON
    mutations: list[Callable[[], Any]] = [
        lambda: chance.choice(TEXTS),
        lambda: chance.choice(NUMBERS),
        lambda: chance.choice((None, True, False, [], {}, [None], {"": None}, [[]], {"type": "text"}, {"type": "tool_use"})),
        lambda: chance.choice(RAW),
        lambda: chance.choice(SCHEMAS),
        lambda: _nest(chance.choice((30, 63, 64, 65, 200, DEEP)), chance),
        lambda: "".join(chance.choices(string.printable + "\0\u20ac\U0001f389", k=chance.choice((1, 30, 2000)))),
    ]
    return chance.choices(mutations, (3, 2, 1, 1, 1, 1, 1))[0]()


def _nest(depth: int, chance: random.Random) -> Any:  # noqa: ANN401 - any JSON
    opening, closing = chance.choice((("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")))
    return Raw(opening * depth + "1" + closing * depth)
