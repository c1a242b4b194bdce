"""Third-party attacks (S2): on the running service with a model that complies with all, and on the screens alone."""
