"""The table of paths that the vendors have and this service does not, and what serves instead.

The answer is 404 in the vendor's envelope, with the code ``unsupported_endpoint``: both vendors' SDKs raise `NotFoundError`, and
no client repeats a 404. A 501 would be repeated by clients that retry every status from 500 on.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from app.domain.calls import Identity
from app.domain.errors import UnsupportedEndpoint
from app.edge.identity import authenticated
from app.edge.misplaced import misplaced

JOBS = "Send each request to POST /v1/jobs instead: it is done later, and its result comes by polling or webhook."
FILES = "Put a file's content into the request itself."
STORED = "Answers are not kept for clients. Keep the conversation, and send it with each request."
ALL = ("GET", "POST", "PUT", "PATCH", "DELETE")

# path -> what it is, and what serves instead. A path covers those below it.
TABLE: Mapping[str, tuple[str, str]] = {
    "/v1/messages/batches": ("Message batches", JOBS),
    "/v1/batches": ("Batches", JOBS),
    "/v1/files": ("Files", FILES),
    "/v1/uploads": ("Uploads", FILES),
    "/v1/completions": ("Text completions", "Use POST /v1/chat/completions."),
    "/v1/complete": ("Text completions", "Use POST /v1/messages."),
    "/v1/images": ("Images", "No model here makes images; a chat request may hold some."),
    "/v1/audio": ("Audio", "No model here reads or makes audio."),
    "/v1/videos": ("Videos", "No model here makes videos."),
    "/v1/realtime": ("Realtime sessions", "Stream a chat request instead."),
    "/v1/moderations": ("Moderations", "The guard screens every call and reports in `octant-degraded`."),
    "/v1/assistants": ("Assistants", "Use POST /v1/chat/completions or /v1/responses."),
    "/v1/threads": ("Threads", STORED),
    "/v1/responses/compact": ("Compaction", "Send a summary as a message instead."),
    "/v1/conversations": ("Conversations", STORED),
    "/v1/chatkit": ("ChatKit", "Use POST /v1/chat/completions."),
    "/v1/vector_stores": ("Vector stores", "Keep vectors of POST /v1/embeddings in a store of your own."),
    "/v1/containers": ("Containers", "No code is run here."),
    "/v1/skills": ("Skills", "Put instructions into the request itself."),
    "/v1/agents": ("Hosted agents", "Use POST /v1/messages."),
    "/v1/sessions": ("Hosted sessions", STORED),
    "/v1/environments": ("Hosted environments", "No code is run here."),
    "/v1/fine_tuning": ("Fine-tuning", "An operator adds a model to a release."),
    "/v1/evals": ("Hosted evals", "`make eval` runs this project's suite."),
    "/v1/organization": ("The vendor's administration", "Operators use the command `octant`."),
}
# The same for one method of a path that this service has: the rest of the path's methods are its own.
STORED_COMPLETIONS = ("/v1/chat/completions", "Stored completions", STORED)


def router() -> APIRouter:
    """The refusals. They need a key, as every path does, and stand in no description of the API."""
    routes = APIRouter(tags=["refused"], include_in_schema=False)
    for path, (name, instead) in TABLE.items():
        for pattern in (path, path + "/{rest:path}"):
            routes.add_api_route(pattern, _refusing(name, instead), methods=list(ALL))
    path, name, instead = STORED_COMPLETIONS
    routes.add_api_route(path, _refusing(name, instead), methods=["GET"])
    for one in ("/{completion_id}", "/{completion_id}/{rest:path}"):  # not the path itself with a slash at its end
        routes.add_api_route(path + one, _refusing(name, instead), methods=list(ALL))
    routes.add_api_route(
        "/v1/models/{alias:path}", _refusing("Deleting a model", "An operator changes the release."), methods=["DELETE"]
    )
    return routes


def _refusing(name: str, instead: str) -> Any:  # noqa: ANN401 - a handler, whose signature FastAPI reads
    async def refuse(request: Request, _: Annotated[Identity, Depends(authenticated)]) -> Response:
        raise misplaced(request.scope["path"], within=True) or UnsupportedEndpoint(
            f"{name}: not supported by this service. {instead}"
        )

    return refuse
