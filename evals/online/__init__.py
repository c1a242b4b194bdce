"""Production, scored: a worker samples recorded calls, and people make cases of what it finds (E9, ADR 0022)."""
