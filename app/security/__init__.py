"""AXIS 5: access (keys, the settings of sign-ins), what may be stored (redaction), and limits on input and output (guard)."""
