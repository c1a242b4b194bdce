"""Measuring redaction: what it finds and what it leaves, on third-party texts, and what it costs."""
