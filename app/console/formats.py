"""Figures as people read them: three significant digits, always with a unit."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from app.domain import figures
from app.domain.money import MICROS_PER_DOLLAR
from app.releases.eval_gate import measured

NONE = "\N{EN DASH}"
MINUTE = timedelta(minutes=1)
# In this order: most of them claim to be others, too.
_BROWSERS = (
    ("Edge", "Edg[A-Z]?"), ("Opera", "OPR"), ("Firefox", "(?:Firefox|FxiOS)"), ("Chrome", "(?:Chrome|CriOS)"),
    ("Safari", "Version"),
)  # fmt: skip
_SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("macOS", "Mac OS X"),
    ("Linux", "Linux"),
)  # fmt: skip


digits = figures.digits


def number(value: float, one: str, many: str = "") -> str:
    """A number of things: ``1 call``, ``1,234 calls``."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def listed(words: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def count(value: float | None) -> str:
    """``1,234`` up to ten thousand, then ``12.4k``."""
    return NONE if value is None else figures.count(value)


def ms(milliseconds: float | None) -> str:
    """A length of time, as `app.domain.figures.ms` writes it: every one on a page is written by that rule."""
    return NONE if milliseconds is None else figures.ms(milliseconds)


def seconds(value: float | None) -> str:
    """A length of time in seconds, as `ms` writes it."""
    return ms(None if value is None else value * 1000)


def rehearsed(minutes: float) -> str:
    """A length of time that a page of the runbook has to a tenth of a minute, in the units of `ms`: ``6 s``, ``4 min 30 s``."""
    return f"{60 * minutes:.0f} s" if minutes < 1 else seconds(60 * minutes)


def span(value: timedelta | None) -> str:
    """A length of time, as `ms` writes it."""
    return ms(None if value is None else value / timedelta(milliseconds=1))


def as_much(ratio: float) -> str:
    """A ratio as ``as much``, ``1.2 times as much`` or ``37 times as much``."""
    shown = f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2g}"
    return "as much" if shown == "1" else f"{shown} times as much"


def usd(micros: float | None) -> str:
    """A sum of money, as `app.domain.figures.usd` writes it."""
    return NONE if micros is None else figures.usd(micros)


def charted(value: float | None, unit: str) -> str:
    """A value of a chart in the table below it, without its unit where the head of the column names that."""
    if value is None:
        return NONE
    return usd(value * MICROS_PER_DOLLAR) if unit == "$" else digits(value)


def share(value: float | None) -> str:
    """A share of one as ``12.3 %``; ``<0.1 %`` where it is less but not nothing."""
    if value is None:
        return NONE
    percent = value * 100
    if 0 < percent < 0.1:
        return "<0.1 %"
    if 99.9 < percent < 100:
        return ">99.9 %"
    return f"{percent:.1f} %".replace(".0 %", " %")


def used(value: float | None) -> str:
    """A share of a cap. Far above a cap that was lowered its digits say nothing."""
    return "over 10 times the cap" if value is not None and value > MOST_TIMES else share(value)


def lead(text: str) -> tuple[str, str]:
    """The first sentence of a text, or its part before a semicolon, and the rest: a reader in a hurry reads the first alone."""
    found = re.search(r"\.(?= [A-Z])|;(?= )", text)
    end = found.end() if found else len(text)
    return text[:end], text[end:]


PLAIN = {
    "last_resort": "a product's fixed answer, as no model answered", "output_invalid": "the answer did not fit its schema",
    "deadline_exceeded": "no answer came in time", "providers_unavailable": "no provider answered",
    "dependency_unavailable": "a store of ours did not answer",
}  # fmt: skip
_CODE = re.compile(rf"(?<![\w(])({'|'.join(PLAIN)})\b(?! \()")


def plain(text: str) -> str:
    """A sentence in which each code that a person may not know has its words beside it, where it is named first."""
    said = set[str]()

    def explained(code: re.Match[str]) -> str:
        known = code[0] in said
        said.add(code[0])
        return code[0] if known else f"{code[0]} ({PLAIN[code[0]]})"

    return _CODE.sub(explained, text)


def points(share: float | None) -> str:
    """A difference of two shares: ``+1.2 points``, and without a sign where it rounds to none."""
    if share is None:
        return NONE
    return f"{100 * share:+.1f} points" if abs(share) >= NO_POINT else "0 points"


MOST_TIMES = 10  # a cap, from which on its use is no share
NO_POINT = 0.0005  # a share of less rounds to no tenth of a point
LONG_ANSWER = 200  # characters: four lines of a phone


def verdict(text: str) -> tuple[str, str]:
    """An answer in one sentence and the rest of it, which a page folds; a short answer has none."""
    if len(text) <= LONG_ANSWER:
        return text, ""
    first, _, rest = text.partition(". ")
    return (f"{first.rstrip('.')}.", rest) if len(first) <= LONG_ANSWER else parted(text)


def parted(text: str) -> tuple[str, str]:
    """The `lead` of a text and the rest, each as a sentence of its own."""
    first, rest = (part.strip() for part in lead(text))
    return f"{first.rstrip(';.')}.", rest[:1].upper() + rest[1:]


def at_most(words: str, bound: object) -> str:
    """A figure, marked where it is an upper bound: no final one came."""
    return f"≤ {words}" if bound else words


def estimated(micros: float | None) -> str:
    """Say how much of a sum of money is estimated; empty where nothing is."""
    return f"{usd(micros)} of it estimated" if micros else ""


def size(value: float | None) -> str:
    """Bytes as ``640 B``, ``12.4 kB`` or ``5.00 MB``."""
    if value is None:
        return NONE
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:,.0f} {unit}" if unit == "B" else f"{digits(value)} {unit}"


def is_day(at: date) -> bool:
    """Whether no time of the day is known: in each zone it is the same day."""
    return not isinstance(at, datetime)


def utc(at: date | None) -> str:
    """A moment in UTC, as a page without scripts shows it; a day as it is."""
    if at is None:
        return NONE
    return f"{at}" if is_day(at) else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def moment(at: date) -> str:
    """A moment in a sentence, to the minute, in UTC: a page's script shows it in the browser's zone, as it does `utc`'s."""
    if not isinstance(at, datetime):
        return f"{at}"
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def browser(named: str) -> str:
    """A browser's name for itself, short: ``Chrome 156, Linux``. One that is not known stays as it is."""
    name = next((f"{shown} {found[1]}" for shown, mark in _BROWSERS if (found := re.search(rf"{mark}/(\d+)", named))), "")
    system = next((shown for shown, mark in _SYSTEMS if mark in named), "")
    return ", ".join(filter(None, (name, system))) if name else named


def unproven(lacking: int) -> str:
    """Eval results that a release lacks: ``12 of its eval results are missing or below their threshold``."""
    verb = "is missing or below its" if lacking == 1 else "are missing or below their"
    return f"{count(lacking)} of its eval results {verb} threshold"


def refused(release: str, lacking: Sequence[str]) -> str:
    """The sentence on a live release that its gate refuses, alike on every page. ``lacking``: the worst first."""
    return f"The eval gate refuses the live release {release}: {unproven(len(lacking))}, the worst: {lacking[0].rstrip('.')}."


def refused_kind(lacking: Sequence[str]) -> str:
    """How bad that is: a threshold that is missed is worse than a result that is missing."""
    return "bad" if measured(lacking) else "warn"
