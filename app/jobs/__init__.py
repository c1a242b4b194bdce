"""Deferred work: queued calls, run by workers of their own, with webhooks (G9, ADR 0011)."""
