"""Paths of the vendors' APIs that this service does not have, refused by name (G1a)."""

from app.api.refused.endpoints import router

__all__ = ["router"]
