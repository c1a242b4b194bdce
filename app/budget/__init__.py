"""AXIS 4: what calls may cost: prices, worst cases, holds and caps. Money is refused here or nowhere."""
