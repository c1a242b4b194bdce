"""AXIS 5: who may ask (keys), what may be kept (redaction), what may be said and done (guard)."""
