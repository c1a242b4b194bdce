"""Measures redaction on third-party texts: its findings, its misses and its cost."""
