"""`POST /v1/embeddings`: vectors for texts, through the same gateway as every other call (G1b)."""

from app.api.embeddings.endpoints import router

__all__ = ["router"]
