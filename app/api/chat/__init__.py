"""The vendors' own APIs over our gateway: OpenAI's chat completions, Anthropic's messages, the list of models."""

from app.api.chat.endpoints import router

__all__ = ["router"]
