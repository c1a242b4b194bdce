"""Compile a schema's text into a `Schema`: resolve references, limit sizes, cache the result.

A refusal here comes before any money is held.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any
from urllib.parse import unquote

from app.domain.json_pointer import resolved
from app.gateway.recovery.schema import Json, Node, NotASchema, OutOfSteps, Run, Schema, SchemaRefused, frozen, not_a_schema
from app.gateway.recovery.schema_keywords import checks_of

MOST_SCHEMAS = 6_000  # schemas within each other, of all the schemas of a call together
MOST_CONSTANTS = 50_000  # parts of all the values that ``enum`` and ``const`` list
LONGEST = 1_000_000  # characters, of all the schemas of a call together
MOST_BRANCHES = 10_000  # schemas that one value is held to, with all references written out
LONGEST_CHAIN = 64  # schemas that refer on to each other for the same value
SIZE_RULE = "a pattern as five and its length"
CACHED_SCHEMAS, CACHED_LETTERS = 20_000, 4_000_000


class Compiler:
    """Makes one schema ready. The keywords ask it for the schemas within."""

    def __init__(self, root: Json) -> None:
        """``root``: the schema, which nothing may change from here on."""
        self._root = root
        own = root.get("$id") if isinstance(root, dict) else None
        self._own = own.rstrip("#") if isinstance(own, str) else ""  # the root's own address, without an empty fragment
        self._nodes: dict[int, Node] = {}
        self._waiting: list[tuple[Node, Mapping[str, Json], str]] = []
        self._anchors: dict[str, Json] = {}
        self._references: list[tuple[Node, str, str, list[Node]]] = []
        self.counted = 0
        self._constants = Run(2 * MOST_CONSTANTS)
        self.unmatched = False
        self.unevaluated = False

    def compiled(self) -> Schema:
        """Raises SchemaRefused."""
        root = self.node(self._root, "")
        self._work_off()
        for node, reference, where, target in self._references:  # grows while what is referred to is worked off
            found = self.node(self._look_up(reference), where)
            found.shared = True
            target.append(found)
            node.in_place.append(found)
            self._work_off()
        if self.unevaluated:
            for node in self._nodes.values():
                node.shared = True
        _check_branches(list(self._nodes.values()))
        return Schema(root, self.counted, self.unmatched)

    def node(self, schema: Json, where: str) -> Node:
        """The node of a schema within; the same one for the same place. Raises SchemaRefused."""
        if isinstance(schema, bool):
            return Node(never=not schema)
        if not isinstance(schema, dict):
            raise NotASchema(not_a_schema(where))
        found = self._nodes.get(id(schema))
        if found is None:
            found = self._nodes[id(schema)] = Node()
            self.count(1)
            self._waiting.append((found, schema, where))
        return found

    def count(self, schemas: int) -> None:
        """Count work as so many schemas. Raises SchemaRefused."""
        self.counted += schemas
        if self.counted > MOST_SCHEMAS:
            raise SchemaRefused(f"is too large: it counts as over {MOST_SCHEMAS:,} schemas, {SIZE_RULE}.")

    def constants(self, values: list[Json]) -> frozenset[Any]:
        """The values that an ``enum`` or ``const`` allows. Raises SchemaRefused."""
        try:
            return frozenset(frozen(value, self._constants) for value in values)
        except OutOfSteps:
            raise SchemaRefused(f"holds over {MOST_CONSTANTS:,} constants.") from None

    def refer(self, node: Node, reference: str, where: str) -> list[Node]:
        """A list that will hold the node that a reference of ``node`` leads to, once all anchors are known."""
        target: list[Node] = []
        self._references.append((node, reference, where, target))
        return target

    def anchor(self, name: str, schema: Json) -> None:
        """Remember the schema that an anchor names."""
        self._anchors.setdefault(name, schema)

    def _work_off(self) -> None:
        while self._waiting:
            node, schema, where = self._waiting.pop()
            node.checks = tuple(checks_of(schema, node, self, where))

    def _look_up(self, reference: str) -> Json:
        if self._own and reference.startswith(self._own):
            reference = reference[len(self._own) :] or "#"
        name = unquote(reference.removeprefix("#"))
        if not reference.startswith("#"):
            raise SchemaRefused("refers to something that it does not hold.")
        if not name.startswith("/"):
            if name and name not in self._anchors:
                raise SchemaRefused("refers to something that it does not hold.")
            return self._anchors[name] if name else self._root
        try:
            return resolved(self._root, name)
        except LookupError:
            raise SchemaRefused("refers to something that it does not hold.") from None


class Cache:
    """A cache of compiled schemas, bounded by size, not by number."""

    def __init__(self, schemas: int = CACHED_SCHEMAS, letters: int = CACHED_LETTERS) -> None:
        """``schemas``, ``letters``: the most that all entries hold together."""
        self._most = schemas, letters
        self.held = [0, 0]
        self._entries: OrderedDict[str, Schema | SchemaRefused] = OrderedDict()
        self._lock = Lock()  # large answers are judged in threads

    def schema(self, text: str) -> Schema:
        """The schema that ``text`` is, ready to check. Raises SchemaRefused."""
        with self._lock:
            found = self._entries.get(text)
            if found is not None:
                self._entries.move_to_end(text)
        if found is None:
            try:
                found = Compiler(json.loads(text)).compiled()
            except SchemaRefused as refused:
                found = refused.with_traceback(None)
            with self._lock:
                self._keep(text, found)
        if isinstance(found, SchemaRefused):
            raise type(found)(*found.args)
        return found

    def _keep(self, text: str, schema: Schema | SchemaRefused) -> None:
        if text in self._entries:  # another thread was first
            return
        self._entries[text] = schema
        self._count(text, schema, 1)
        while len(self._entries) > 1 and (self.held[0] > self._most[0] or self.held[1] > self._most[1]):
            oldest = next(iter(self._entries))
            self._count(oldest, self._entries.pop(oldest), -1)

    def _count(self, text: str, schema: Schema | SchemaRefused, sign: int) -> None:
        self.held[0] += sign * (schema.schemas if isinstance(schema, Schema) else 1)
        self.held[1] += sign * len(text)


def _check_branches(nodes: list[Node]) -> None:
    """Refuse what refers to itself without end, on through too many, or into too many branches. Raises SchemaRefused."""
    known: dict[int, tuple[int, int] | None] = {}  # None: on the way here
    waiting = list(nodes)
    while waiting:
        node = waiting[-1]
        if id(node) not in known:
            known[id(node)] = None
            for child in node.in_place:
                if id(child) not in known:
                    waiting.append(child)
                elif known[id(child)] is None:
                    raise SchemaRefused("refers to itself without end.")
            continue
        waiting.pop()
        if known[id(node)] is None:
            inner = [found for child in node.in_place if (found := known[id(child)]) is not None]
            branches, chain = 1 + sum(b for b, _ in inner), 1 + max((c for _, c in inner), default=0)
            if branches > MOST_BRANCHES:
                raise SchemaRefused(f"holds one value to over {MOST_BRANCHES:,} schemas when its references are followed.")
            if chain > LONGEST_CHAIN:
                raise SchemaRefused(f"refers on through over {LONGEST_CHAIN} schemas for one value.")
            known[id(node)] = branches, chain
