"""Money is a whole number of micro-dollars (1 USD = 1,000,000). No float ever holds an amount that is spent.

Why integers: caps are compared and summed over many replicas; a sum of floats depends on the order of its parts.
See docs/decisions/0003-money-in-micro-dollars.md.
"""

from typing import NewType

MicroUSD = NewType("MicroUSD", int)

MICROS_PER_DOLLAR = 1_000_000
MOST_DIGITS = 12  # of whole dollars
SHOWN = 40  # characters of a wrong amount that an error shows
ZERO = MicroUSD(0)


def from_dollars(dollars: str) -> MicroUSD:
    """Read a decimal dollar figure such as ``"12.50"``.

    Raises ValueError if it is finer than one micro-dollar, or does not fit a column of 64 bits ten times over.
    """
    whole, _, fraction = dollars.strip().partition(".")
    digits = whole + fraction
    if len(fraction) > 6 or not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{dollars[:SHOWN]!r} is not an amount in dollars with at most six decimals")
    if len(whole.lstrip("0")) > MOST_DIGITS:
        raise ValueError(f"{dollars[:SHOWN]!r} is not below ${10**MOST_DIGITS:,}")
    return MicroUSD(int(whole or "0") * MICROS_PER_DOLLAR + int(fraction.ljust(6, "0") or "0"))


def to_dollars(amount: int) -> str:
    """Print an amount as decimal dollars: ``1_250_000`` becomes ``"1.250000"``."""
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // MICROS_PER_DOLLAR}.{abs(amount) % MICROS_PER_DOLLAR:06d}"
