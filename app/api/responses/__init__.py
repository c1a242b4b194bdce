"""OpenAI's Responses API over our gateway, without stored state (ADR 0030)."""

from app.api.responses.endpoints import router

__all__ = ["router"]
