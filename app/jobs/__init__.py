"""Deferred work: calls that are queued, run by workers of their own, and fetched or sent by webhook when done (G9, ADR 0011)."""
