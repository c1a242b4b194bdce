"""Idempotency-Keys: which were claimed, by whose request, and what it was answered. Bytes and headers, no web framework."""
