"""Attacks that nobody here wrote, on the running service with a model that obeys them all; and what screens see of them (S2)."""
