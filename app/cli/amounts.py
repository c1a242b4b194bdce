"""Amounts and numbers as operators write them."""

import math

import typer

from app.domain.money import MicroUSD, from_dollars

MOST_DAYS = 3650  # ten years: more is a typing error, and no timestamp holds it


def number(value: float | None) -> float | None:
    """Check an option with bounds, which "nan" passes. Raises typer.BadParameter."""
    if value is not None and math.isnan(value):
        raise typer.BadParameter("nan is no number")
    return value


def dollars(text: str) -> MicroUSD:
    """Read an amount such as ``12.50``. Raises typer.BadParameter."""
    try:
        return from_dollars(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.") from None
