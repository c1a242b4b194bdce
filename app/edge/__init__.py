"""Checks on every request: identity, limits, request ids, deadline, errors, SSE, health. No product lives here."""
