"""AXIS 5: access (keys), what may be stored (redaction), and limits on input and output (guard)."""
