"""AXIS 4: the cost of calls: prices, worst cases, holds and caps. No other room refuses a call for money."""
