"""Paths that a client asks for because its base URL is wrong: with ``/v1`` twice or not at all, or with the endpoint in it."""

from app.domain.errors import NotFound

ENDPOINTS = ("/chat/completions", "/embeddings", "/messages", "/messages/count_tokens", "/models", "/responses")
OF_ITEMS = ("/messages", "/messages/count_tokens")  # the vendors have paths of stored things that end so


def misplaced(path: str, *, within: bool = False) -> NotFound | None:
    """The error that names the path meant; None where none is known. ``within``: below a path of a vendor's API."""
    for end in ENDPOINTS:
        if path.rstrip("/").endswith(end) and path != "/v1" + end and not (within and end in OF_ITEMS):
            return NotFound(f"No such path. Here it is /v1{end}: check the base URL.")
    return None
