"""Measuring redaction: what it finds and what it leaves, on texts that nobody here wrote, and what it costs."""
