"""What callers say of an answer they got: good or bad, and why. The evals make cases of it (E9)."""

from app.api.feedback.endpoints import router

__all__ = ["router"]
