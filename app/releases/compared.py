"""Two releases side by side: every pin, prompts as a difference of words, routes and prices as rows, and the money. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from difflib import SequenceMatcher
from typing import Literal

from app.domain.money import MICROS_PER_DOLLAR
from app.domain.routes import Price, PriceTable, Prompt, Route
from app.releases.difference import Cost, Traffic, for_thousand, shown
from app.releases.manifest import Manifest, Release

Kind = Literal["same", "added", "removed", "changed"]
MOST_WORDS = 20_000  # of both texts: with more, whole lines are compared
_PRICED = ("input", "output", "cached_input", "cache_write")
_WORD = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Row:
    """One pin or property in two releases; empty where a release has none."""

    name: str
    before: str
    after: str

    @property
    def kind(self) -> Kind:
        """How the two differ."""
        if self.before == self.after:
            return "same"
        return "changed" if self.before and self.after else "added" if self.after else "removed"

    @property
    def runs(self) -> "Sequence[Run]":
        """The two as pieces that both have, or only one."""
        return runs(self.before, self.after)


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of text that both have, or only one of them."""

    kind: Literal["same", "del", "ins"]
    text: str


@dataclass(frozen=True, slots=True)
class PromptChange:
    """A prompt that differs: its properties, and its parts (`system`, `user`) as runs."""

    name: str
    rows: Sequence[Row]
    texts: Mapping[str, Sequence[Run]]


@dataclass(frozen=True, slots=True)
class Money:
    """Micro-dollars of a thousand calls like last week's, by model alias or prompt; ``calls``: how many those were."""

    target: str
    before: int
    after: int
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """``routes``: the properties that differ, by alias. ``prices``: those that differ, by model and kind of token."""

    pins: Sequence[Row]
    prompts: Sequence[PromptChange]
    routes: Mapping[str, Sequence[Row]]
    prices: Sequence[Row]
    money: Sequence[Money]

    @property
    def changed(self) -> Sequence[Row]:
        """The pins that differ."""
        return [row for row in self.pins if row.kind != "same"]


def compare(old: Release, new: Release, traffic: Mapping[str, Traffic], cost: Cost) -> Compared:
    """Compare two releases whose pins resolve. ``cost``: micro-dollars of a usage by price tiers."""
    names = sorted({*old.prompts, *new.prompts})
    prompts = (prompt_change(name, old.prompts.get(name), new.prompts.get(name)) for name in names)
    return Compared(
        pins=pins_of(old, new),
        prompts=[change for change in prompts if change],
        routes=dict(_routes(old.routes, new.routes)),
        prices=list(_prices(old.prices, new.prices)),
        money=list(_money(old, new, traffic, cost)),
    )


def rows_of(release: Release | None) -> dict[str, str]:
    """Every pin of a release in words, by kind and name."""
    if release is None:
        return {}
    found = {"prices": f"{release.prices.version}, in effect from {release.prices.effective}", "code": release.code}
    found |= {f"index {name}": version for name, version in release.indexes.items()}
    for name, prompt in release.prompts.items():
        calls = ", clients may call it" if prompt.callable else ""
        found[f"prompt {name}"] = f"{prompt.version} ({prompt.sha256[:12]}) by {prompt.route}{calls}"
    for kind, routes in (("model", release.routes), ("embeddings", release.embeddings)):
        found |= {f"{kind} {name}": chain(route) for name, route in routes.items()}
    return found


def chain(route: Route) -> str:
    """The models of a route, in the order in which they are called."""
    return ", then ".join(f"{target.provider}/{target.model}" for target in route.targets)


def pins_of(old: Release | None, new: Release | None) -> Sequence[Row]:
    """Every pin of both, in one order; a route that differs in other than its models says so."""
    before, after = rows_of(old), rows_of(new)
    rows = []
    for name in dict.fromkeys([*before, *after]):
        row = Row(name, before.get(name, ""), after.get(name, ""))
        kind, _, alias = name.partition(" ")
        if kind == "model" and row.kind == "same" and old and new and old.routes[alias] != new.routes[alias]:
            row = Row(name, row.before, f"{row.after} (other settings)")
        rows.append(row)
    return rows


def as_written(manifest: Manifest) -> Sequence[Row]:
    """The pins of a manifest whose files are not all here."""
    rows = [Row("prices", "", manifest.prices.file), Row("code", "", manifest.code)]
    rows += [Row(f"index {name}", "", version) for name, version in manifest.indexes.items()]
    rows += [Row(f"prompt {n}", "", f"{p.version} ({p.sha256[:12]}) by {p.route}") for n, p in manifest.prompts.items()]
    for name, route in manifest.routes.items():
        rows.append(Row(f"model {name}", "", ", then ".join(f"{t.provider}/{t.model}" for t in route.targets)))
    return rows


def prompt_change(name: str, old: Prompt | None, new: Prompt | None) -> PromptChange | None:
    """A prompt in two releases; None where it is the same."""
    if old == new:
        return None
    properties = ("version", "route", "tools", "guard", "callable")
    rows = [Row(part, _words(old, part), _words(new, part)) for part in properties]
    texts = {part: runs(getattr(old, part, ""), getattr(new, part, "")) for part in ("system", "user")}
    return PromptChange(
        name, [row for row in rows if row.kind != "same"], {p: r for p, r in texts.items() if any(x.kind != "same" for x in r)}
    )


def runs(before: str, after: str) -> Sequence[Run]:
    """Two texts as what both have and what only one has, word by word; very long ones line by line."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    if len(old) + len(new) > MOST_WORDS:
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    found: list[Run] = []
    gone = come = ""
    for what, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        same = "".join(old[a:b]) if what == "equal" else ""
        if same and (gone or come) and b < len(old) and d < len(new) and len(same.split()) <= 1 and "\n" not in same:
            gone, come = gone + same, come + same  # one word that stayed amid others: a phrase is easier to read
        elif same:
            found += [*_change(gone, come), Run("same", same)]
            gone = come = ""
        else:
            gone, come = gone + "".join(old[a:b]), come + "".join(new[c:d])
    return [*found, *_change(gone, come)]


def _change(gone: str, come: str) -> list[Run]:
    """The runs of one change."""
    return [run for run in (Run("del", gone), Run("ins", come)) if run.text]


def _words(prompt: Prompt | None, part: str) -> str:
    value = getattr(prompt, part, "")
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {action}" for name, action in sorted(value.items())) or "none"
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _routes(old: Mapping[str, Route], new: Mapping[str, Route]) -> Iterator[tuple[str, Sequence[Row]]]:
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        properties = (field.name for field in fields(Route) if field.name != "name")
        rows = [Row(p.replace("_", " "), *(_property(route, p) for route in (before, after))) for p in properties]
        rows = [row for row in rows if row.kind != "same"]
        if rows:
            yield name, rows


def _property(route: Route | None, name: str) -> str:
    value = getattr(route, name) if route else ""
    if not is_dataclass(value):
        return shown(value) if route else ""
    set_ = ((field.name.replace("_", " "), getattr(value, field.name)) for field in fields(value))
    return ", ".join(f"{named} {shown(one)}" for named, one in set_ if one not in (None, False, ())) or "none"


def _prices(old: PriceTable, new: PriceTable) -> Iterator[Row]:
    """The prices that differ, in dollars a million tokens, one row a kind of token and tier."""
    for key in sorted({*old.prices, *new.prices}):
        before, after = ({tier.from_input_tokens: tier for tier in table.prices.get(key, ())} for table in (old, new))
        for begins in sorted({*before, *after}):
            tier = f" from {begins:,} tokens" if begins else ""
            for kind in _PRICED:
                row = Row(
                    f"{'/'.join(key)}, {kind.replace('_', ' ')}{tier}", *(_dollars(t.get(begins), kind) for t in (before, after))
                )
                if row.kind != "same":
                    yield row


def _dollars(price: Price | None, kind: str) -> str:
    return f"${getattr(price, kind) / MICROS_PER_DOLLAR:,.4g}" if price else ""


def _money(old: Release, new: Release, traffic: Mapping[str, Traffic], cost: Cost) -> Iterator[Money]:
    for target, seen in sorted(traffic.items()):
        before, after = (for_thousand(release, target, seen, cost) for release in (old, new))
        if before is not None and after is not None:
            yield Money(target, before, after, seen.calls)
