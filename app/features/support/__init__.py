"""THE WORKED EXAMPLE: customer support for a shop. Delete this folder, its migration and its prompts' pins to start your own."""

from app.features.support.actions import Actions
from app.features.support.endpoints import router
from app.features.support.support import Support

__all__ = ["Actions", "Support", "router"]
