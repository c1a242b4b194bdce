"""Figures as people read them, in pages, commands, reports and pages to the person on duty alike: three significant digits."""

import math

from app.domain.money import MICROS_PER_DOLLAR

_STEPS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def digits(value: float) -> str:
    """Three significant digits: ``0.00523``, ``84``, ``1.20``; whole from 100 on."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.3g}")
    if abs(rounded) >= 100:
        return f"{rounded:,.0f}"
    places = 2 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:.{places}f}"


def count(value: float) -> str:
    """``1,234`` up to ten thousand, then ``12.4k``."""
    if abs(value) < 10_000:
        return f"{value:,.0f}" if value == int(value) else digits(value)
    rounded = float(f"{value:.3g}")  # 999,950 is one million
    step, unit = next((s, u) for s, u in _STEPS if abs(rounded) >= s)
    return f"{digits(rounded / step)}{unit}"


def usd(micros: float) -> str:
    """Micro-dollars as ``$0.00523``, ``$0.10``, ``$12.30``, ``$1,234`` or ``$12.3k``: three digits, and cents at least.

    Every sum of money that a person reads is written by this rule, on charts by the same in the script (`money`). Headers, JSON
    and spans have every digit (`app.domain.money.to_dollars`).
    """
    dollars, sign = abs(micros) / MICROS_PER_DOLLAR, "-" if micros < 0 else ""
    if dollars >= 9_999.5:
        return f"{sign}${count(dollars)}"
    if dollars >= 999.995:
        return f"{sign}${dollars:,.0f}"
    if dollars >= 0.995:
        return f"{sign}${dollars + 1e-9:.2f}"  # half a cent is rounded up, as it is read
    whole, _, cents = digits(dollars).partition(".")
    return f"{sign}${whole}.{cents.rstrip('0'):0<2}" if dollars else "$0"


def ms(milliseconds: float) -> str:
    """A length of time: ``84 ms`` below a second, then ``1.20 s``, then two units: ``3 min 20 s``, ``2 h 5 min``, ``4 d 3 h``."""
    if abs(milliseconds) < 999.5:
        whole = abs(milliseconds) >= 10 or milliseconds == int(milliseconds)
        return f"{milliseconds:.0f} ms" if whole else f"{digits(milliseconds)} ms"
    length = milliseconds / 1000
    if length < 59.95:
        return f"{digits(length)} s"
    minutes, rest = divmod(round(length), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
