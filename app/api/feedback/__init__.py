"""Callers' ratings of answers: good or bad, with a comment. The evals make cases of them (E9)."""

from app.api.feedback.endpoints import router

__all__ = ["router"]
