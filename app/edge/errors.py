"""The one table from our error tree to HTTP: a status and both vendors' error types for every leaf.

Sources: platform.openai.com/docs/guides/error-codes and docs.anthropic.com/en/api/errors (names of types and envelopes).
"""

import json
import math
from collections.abc import Container
from dataclasses import dataclass
from typing import Any, Literal

from starlette.types import Scope

from app.domain import errors
from app.domain.errors import BudgetExceeded, OctantError, OutputInvalid, RateLimited, Wait
from app.edge.answers import rate_headers, receipt_headers, summary

Dialect = Literal["openai", "anthropic"]
OPENAI_PATHS = ("/v1/chat/", "/v1/responses", "/v1/embeddings")
SHARED_PATH = "/v1/models"


@dataclass(frozen=True, slots=True)
class Row:
    """One error's status and types.

    ``retry`` is the SDKs' ``x-should-retry``: whether the same request may succeed soon. A ``final`` error is stored as the
    answer to a request with an Idempotency-Key and replayed. Every other error frees the key, since a further request may end
    otherwise (ADR 0010).
    """

    status: int
    openai: str
    anthropic: str
    retry: bool = False
    final: bool = False


class AlarmTest(Exception):  # noqa: N818 - it is named for what it does
    """Raised on purpose by `/v1/admin/alarm-test`. Outside the tree of errors, so that it is handled as a bug."""


TABLE: dict[type[OctantError], Row] = {
    errors.InvalidRequest: Row(400, "invalid_request_error", "invalid_request_error", final=True),
    errors.UnsupportedParameter: Row(400, "invalid_request_error", "invalid_request_error", final=True),
    errors.ResponseNotStored: Row(400, "invalid_request_error", "invalid_request_error", final=True),
    errors.ContentRefused: Row(400, "invalid_request_error", "invalid_request_error", final=True),
    errors.OutputUnchecked: Row(422, "invalid_request_error", "invalid_request_error", final=True),
    errors.UnknownModel: Row(404, "invalid_request_error", "not_found_error"),
    errors.WrongEndpoint: Row(400, "invalid_request_error", "invalid_request_error"),
    errors.UnsupportedEndpoint: Row(404, "invalid_request_error", "not_found_error"),
    errors.NotFound: Row(404, "invalid_request_error", "not_found_error"),
    errors.MethodNotAllowed: Row(405, "invalid_request_error", "invalid_request_error"),
    errors.NoWebSocket: Row(426, "invalid_request_error", "invalid_request_error"),
    errors.JobFinished: Row(409, "invalid_request_error", "invalid_request_error"),
    errors.ActionClosed: Row(409, "invalid_request_error", "invalid_request_error"),
    errors.ContextLengthExceeded: Row(400, "invalid_request_error", "invalid_request_error"),
    errors.ContentFiltered: Row(400, "invalid_request_error", "invalid_request_error"),
    errors.BodyTooLarge: Row(413, "invalid_request_error", "request_too_large"),
    errors.UnsupportedEncoding: Row(415, "invalid_request_error", "invalid_request_error"),
    errors.UrlTooLong: Row(414, "invalid_request_error", "invalid_request_error"),
    errors.HeadersTooLarge: Row(431, "invalid_request_error", "invalid_request_error"),
    errors.RequestTooSlow: Row(408, "invalid_request_error", "timeout_error"),
    errors.IdempotencyKeyReused: Row(422, "invalid_request_error", "invalid_request_error"),
    errors.IdempotencyKeyInUse: Row(409, "invalid_request_error", "invalid_request_error", retry=True),
    errors.RateLimited: Row(429, "rate_limit_error", "rate_limit_error", retry=True),
    errors.ProvidersRateLimited: Row(503, "server_error", "overloaded_error", retry=True),
    errors.ProvidersUnavailable: Row(503, "server_error", "overloaded_error", retry=True),
    errors.DeadlineExceeded: Row(504, "server_error", "timeout_error", retry=True),
    errors.Stopped: Row(503, "server_error", "overloaded_error"),
    errors.ShuttingDown: Row(503, "server_error", "overloaded_error", retry=True),
    errors.DependencyUnavailable: Row(503, "server_error", "api_error", retry=True),
    errors.Unauthenticated: Row(401, "invalid_request_error", "authentication_error"),
    errors.Forbidden: Row(403, "permission_error", "permission_error"),
    errors.BudgetExceeded: Row(429, "insufficient_quota", "rate_limit_error"),
    errors.OutputInvalid: Row(502, "server_error", "api_error", final=True),
    errors.AnswerWithheld: Row(502, "server_error", "api_error", final=True),
    errors.TranslationRefused: Row(502, "server_error", "api_error"),
    errors.JobLost: Row(502, "server_error", "api_error"),
    errors.Internal: Row(500, "server_error", "api_error"),
}


def dialect_of(path: str, names: Container[bytes] = (), *, shared: bool = False) -> Dialect:
    """The vendor whose envelope an answer uses.

    A vendor's own path decides. On any other path the header ``anthropic-version`` marks a client of Anthropic; so does
    ``x-api-key`` on a path that is ``shared``: one that both vendors have, or that none of ours has. ``names`` are the headers'.
    """
    if path.startswith("/v1/messages"):
        return "anthropic"
    if path.startswith(OPENAI_PATHS):
        return "openai"
    return "anthropic" if b"anthropic-version" in names or (shared and b"x-api-key" in names) else "openai"


def dialect_for(scope: Scope) -> Dialect:
    """`dialect_of` a request. A path is none of ours once the router has found no route, or one that refuses."""
    route = scope.get("route")
    unrouted = "router" in scope and (route is None or "refused" in getattr(route, "tags", ()))
    shared = unrouted or scope["path"].startswith(SHARED_PATH)
    return dialect_of(scope["path"], {name for name, _ in scope["headers"]}, shared=shared)


def body(error: OctantError, dialect: Dialect, request_id: str) -> dict[str, Any]:
    """The error in the vendor's own envelope; our additional facts are beside the vendor's fields."""
    row = TABLE[type(error)]
    if dialect == "anthropic":
        inner = {"type": row.anthropic, "message": error.message, "code": error.code, **_facts(error)}
        return {"type": "error", "error": inner, "request_id": request_id}
    inner = {"message": error.message, "type": row.openai, "param": error.param, "code": error.code, **_facts(error)}
    return {"error": inner}


def last_event(error: OctantError, dialect: Dialect, request_id: str) -> dict[str, Any]:
    """The error as a stream's last event, with its cost: the headers left before it was known."""
    document = body(error, dialect, request_id)
    if error.receipt:
        document["error"] |= summary(error.receipt)
    return document


def render(error: OctantError, dialect: Dialect, request_id: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer for this error."""
    row = TABLE[type(error)]
    headers = {
        "content-type": "application/json",
        "x-request-id": request_id,
        "request-id": request_id,
        "x-should-retry": "true" if row.retry or (isinstance(error, BudgetExceeded) and error.soon) else "false",
        **(receipt_headers(error.receipt) if error.receipt else {}),
        **(rate_headers(error.rates) if isinstance(error, RateLimited) else {}),
    }
    if isinstance(error, Wait | BudgetExceeded) and error.retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    if isinstance(error, errors.UnsupportedEncoding):
        headers["accept-encoding"] = "gzip, deflate"
    if isinstance(error, errors.Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    return row.status, headers, json.dumps(body(error, dialect, request_id)).encode()


def _facts(error: OctantError) -> dict[str, Any]:
    """Facts of an error beyond its message, for programs to read."""
    if isinstance(error, BudgetExceeded):
        own = () if error.hides_sums else ("limit", "spent", "held")
        amounts = {k: getattr(error, k) for k in ("scope", *own, "needed")}
        resets_at = error.resets_at.isoformat() if error.resets_at else None
        return {"budget": {**amounts, "unit": "micro_usd", "resets_at": resets_at}}
    if isinstance(error, OutputInvalid):
        return {"violations": list(error.violations)}
    if isinstance(error, errors.UnsupportedParameter) and error.details:
        return {"details": dict(error.details)}
    return {}
