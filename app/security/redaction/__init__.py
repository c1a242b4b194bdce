"""Redaction: personal data and secrets are replaced before a text leaves the process."""
