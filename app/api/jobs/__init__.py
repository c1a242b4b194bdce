"""Deferred calls over HTTP: submit, look, list, cancel (G9)."""

from app.api.jobs.endpoints import router

__all__ = ["router"]
