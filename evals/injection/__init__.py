"""Attacks that nobody here wrote, against the running service with a model that obeys them all (S2); and how well screens see them."""
