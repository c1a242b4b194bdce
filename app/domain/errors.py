"""Every way a call can fail, ordered by what the caller can do about it.

::

    OctantError
    ├── FixRequest                 the caller must change the request
    │   ├── InvalidRequest             a value is wrong
    │   ├── UnsupportedParameter       the vendor knows this field, we do not honour it
    │   ├── UnknownModel               no such alias or prompt in the live release
    │   ├── NotFound                   no such path or object
    │   ├── MethodNotAllowed
    │   ├── NoWebSocket                the path answers over HTTP alone
    │   ├── JobFinished                a job that is done cannot be cancelled
    │   ├── ActionClosed               an action that was decided or has expired cannot be decided again
    │   ├── BodyTooLarge               also where every model that could answer finds the request too large
    │   ├── ContextLengthExceeded      the prompt is too long for every model that could answer
    │   ├── ContentFiltered            the content policy of every model that could answer refused the request
    │   ├── UnsupportedEncoding        a compressed body that is not read here
    │   ├── UnsupportedEndpoint        a path of a vendor's API that this service does not have
    │   ├── WrongEndpoint              an alias of embeddings cannot answer, and the other way round
    │   ├── UrlTooLong
    │   ├── HeadersTooLarge
    │   ├── RequestTooSlow             its bytes did not come in time
    │   ├── IdempotencyKeyReused       this key belongs to another request
    │   ├── OutputUnchecked            the answer cannot be checked against the caller's schema in bounded work
    │   └── ContentRefused             the guard refused the input
    ├── Wait                       the same request may succeed later (``retry_after`` seconds)
    │   ├── RateLimited                the caller's own limit
    │   ├── ProvidersRateLimited       every provider of the route is limiting us
    │   ├── ProvidersUnavailable       every provider of the route failed
    │   ├── DeadlineExceeded           the call's one deadline passed
    │   ├── Stopped                    a kill switch is on
    │   ├── ShuttingDown               this process stops
    │   ├── IdempotencyKeyInUse        the first request with this key is still being answered
    │   └── DependencyUnavailable      our own Valkey or Postgres is away
    ├── AskPermission              a person must grant money or rights
    │   ├── Unauthenticated
    │   ├── Forbidden
    │   └── BudgetExceeded             names scope, limit, spent, held, reset
    └── Ours                       nothing the caller can do
        ├── OutputInvalid              no model gave valid output; carries the violations
        ├── AnswerWithheld             the guard stopped the model's answer
        ├── TranslationRefused         every model refused the request as this service translated it
        ├── JobLost                    a job ended or stalled its worker again and again
        └── Internal

    ProviderError                  one provider's failure, seen only by `gateway.recovery`
    ├── Retryable                      the same target may be tried again
    │   ├── ProviderTimeout                connect, first token, idle or total
    │   ├── ProviderRateLimited            429; carries ``retry_after``
    │   ├── ProviderOverloaded             503, 529
    │   ├── ProviderFailed                 500, 502, 504
    │   ├── ProviderUnreachable            refused, reset, DNS
    │   ├── OutOfSockets                   this machine has none left: no provider's fault
    │   └── ProviderGarbled                not the protocol: truncated JSON, wrong content type, cut stream
    ├── ProviderDenied                 our key or our quota: try the next target, inform the operator
    ├── ProviderOutputInvalid      paid for, well-formed on the wire, but not valid under the call's schema
    └── ProviderRejected               this request, by this target: the next one may take it, a retry never helps
    Misconfigured                  start-up cannot go on; says which setting to change

The errors of a provider are in `provider_errors`. `edge/errors.py` has one row per leaf of OctantError; a test fails for a leaf
without a row.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from app.domain.calls import RateState, Receipt
from app.domain.provider_errors import OutOfSockets as OutOfSockets
from app.domain.provider_errors import ProviderDenied as ProviderDenied
from app.domain.provider_errors import ProviderError as ProviderError
from app.domain.provider_errors import ProviderFailed as ProviderFailed
from app.domain.provider_errors import ProviderGarbled as ProviderGarbled
from app.domain.provider_errors import ProviderOutputInvalid as ProviderOutputInvalid
from app.domain.provider_errors import ProviderOverloaded as ProviderOverloaded
from app.domain.provider_errors import ProviderRateLimited as ProviderRateLimited
from app.domain.provider_errors import ProviderRejected as ProviderRejected
from app.domain.provider_errors import ProviderTimeout as ProviderTimeout
from app.domain.provider_errors import ProviderUnreachable as ProviderUnreachable
from app.domain.provider_errors import RejectionReason as RejectionReason
from app.domain.provider_errors import Retryable as Retryable
from app.domain.provider_errors import TimeoutPhase as TimeoutPhase

IN_FLIGHT_SECONDS = 2.0  # calls in flight give back what they do not spend


class OctantError(Exception):
    """The root. ``message`` is safe to show to the caller: no PII, no secret, no vendor detail.

    The gateway sets ``receipt`` on the error that ends a call: an error also reports what was tried and paid (G10).
    """

    code: ClassVar[str] = "error"
    receipt: Receipt | None = None

    def __init__(self, message: str, *, param: str | None = None) -> None:
        """``param`` names the request field at fault, if one is."""
        super().__init__(message)
        self.message = message
        self.param = param


class FixRequest(OctantError):
    """The caller must change the request."""


class InvalidRequest(FixRequest):
    """A value in the request is wrong."""

    code = "invalid_request"


class UnsupportedParameter(FixRequest):
    """The vendor knows this field or value; we do not honour it, nor drop it silently. ``details`` are for the vendor's SDKs."""

    code = "unsupported_parameter"
    details: Mapping[str, object] | None = None


class ResponseNotStored(FixRequest):
    """A response that is named is not here, as none is. By this code of OpenAI's, clients send the whole conversation instead."""

    code = "previous_response_not_found"


class UnknownModel(FixRequest):
    """The live release has no such model alias or prompt."""

    code = "model_not_found"


class NotFound(FixRequest):
    """No such path or object."""

    code = "not_found"


class MethodNotAllowed(FixRequest):
    """The path exists, the method does not."""

    code = "method_not_allowed"


class JobFinished(FixRequest):
    """The job is done: there is nothing left to cancel."""

    code = "job_finished"


class ActionClosed(FixRequest):
    """The action was decided otherwise already, or its time is over."""

    code = "action_closed"


class BodyTooLarge(FixRequest):
    """The body is over the limit."""

    code = "request_too_large"


class ContextLengthExceeded(FixRequest):
    """The prompt is too long for every model that could answer. The code is the one that clients know from OpenAI."""

    code = "context_length_exceeded"


class ContentFiltered(FixRequest):
    """The content policy of every model that could answer refused the request. The code is the one that Azure gives."""

    code = "content_filter"


class WrongEndpoint(FixRequest):
    """The alias gives embeddings and answers were requested, or the other way round."""

    code = "wrong_endpoint"


class NoWebSocket(FixRequest):
    """A client asks for a WebSocket, and the path answers over HTTP alone. Codex then sends its requests by HTTP at once."""

    code = "no_websocket"


class UnsupportedEndpoint(FixRequest):
    """A path of a vendor's API that this service does not have; the message says what serves instead."""

    code = "unsupported_endpoint"


class UnsupportedEncoding(FixRequest):
    """The body has a content-encoding that is not decompressed here."""

    code = "unsupported_encoding"


class UrlTooLong(FixRequest):
    """Path and query are over the limit."""

    code = "url_too_long"


class HeadersTooLarge(FixRequest):
    """There are too many headers, or they are too long."""

    code = "headers_too_large"


class RequestTooSlow(FixRequest):
    """The request's bytes did not come in time, so its connection is closed."""

    code = "request_too_slow"


class IdempotencyKeyReused(FixRequest):
    """The key belongs to another request, or to an answer that cannot be given again: a new request needs a new key."""

    code = "idempotency_key_reused"


class OutputUnchecked(FixRequest):
    """The answer was paid for, but checking it against the caller's schema would take more work than it may."""

    code = "output_unchecked"


class ContentRefused(FixRequest):
    """The guard refused the input."""

    code = "content_refused"


class Wait(OctantError):
    """The same request may succeed later."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """``retry_after`` is in seconds; None where waiting has no known end."""
        super().__init__(message)
        self.retry_after = retry_after


class RateLimited(Wait):
    """The caller's own rate or concurrency limit. ``rates``: the limit that was reached, by what it limits."""

    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after: float | None = None, rates: Mapping[str, RateState] | None = None) -> None:
        """As `Wait`."""
        super().__init__(message, retry_after=retry_after)
        self.rates = rates or {}


class ProvidersRateLimited(Wait):
    """Every provider of the route is limiting us."""

    code = "providers_rate_limited"


class ProvidersUnavailable(Wait):
    """Every provider of the route failed."""

    code = "providers_unavailable"


class DeadlineExceeded(Wait):
    """The call's one deadline passed."""

    code = "deadline_exceeded"


class Stopped(Wait):
    """A kill switch is on for this call."""

    code = "stopped_by_operator"


class ShuttingDown(Wait):
    """The process that serves the call stops before its end. Another process can serve the same request."""

    code = "shutting_down"


class IdempotencyKeyInUse(Wait):
    """The first request with this key is still being answered; its answer will be this one's."""

    code = "idempotency_key_in_use"


class DependencyUnavailable(Wait):
    """Our own Valkey or Postgres is away and the rule for it is to refuse."""

    code = "dependency_unavailable"


class AskPermission(OctantError):
    """A person must grant money or rights."""


class Unauthenticated(AskPermission):
    """No key, or not a valid one. ``guess``: a wrong key that was not sent before.

    ``holder``: tenant and key id where all of the key is right, and it was revoked or has expired. For records, not for answers.
    """

    code = "invalid_api_key"
    guess: bool = False
    holder: tuple[str, str] = ("", "")


class Forbidden(AskPermission):
    """The key may not do this."""

    code = "permission_denied"


class BudgetExceeded(AskPermission):
    """A cap leaves no room for this call's worst case. Amounts in micro-dollars."""

    code = "budget_exceeded"

    def __init__(
        self, *, scope: str, limit: int, spent: int, held: int, needed: int,
        resets_at: datetime | None = None, now: datetime | None = None, user: str = "", bound: bool = False,
    ) -> None:  # fmt: skip
        """``scope`` is for instance ``tenant-day``; ``needed`` is the worst case that did not fit.

        ``user``: as counters know the user whose cap it is, for the log; the caller's words name no user. ``bound``: the caller's
        key is one user's, so the caller learns nothing of what its tenant's other users spend.

        ``resets_at`` is None where nothing resets (one request's own cap). With ``now``, ``retry_after`` says in how many seconds
        the same call may fit: soon where calls in flight hold the room, else at the reset; None where it never will.
        """
        resets = f"It resets at {resets_at.isoformat()}." if resets_at else "Ask for less: fewer output tokens, a shorter input."
        of_all = scope.startswith("global")  # a caller learns nothing of what other tenants spend
        self.hides_sums = of_all or (bound and scope.startswith("tenant"))
        used = f"of ${limit / 1e6:.6f} has ${spent / 1e6:.6f} spent and ${held / 1e6:.6f} held by calls in flight"
        whose = "of all tenants" if of_all else "of all users of this tenant"
        room = f"{whose} together has too little room" if self.hides_sums else used
        super().__init__(f"The {scope} budget {room}; this call may need ${needed / 1e6:.6f}. {resets}")
        self.scope, self.resets_at, self.limit, self.spent, self.held, self.needed = scope, resets_at, limit, spent, held, needed
        self.retry_after: float | None = None
        self.user = user
        self.soon = held > 0 and resets_at is not None and spent + needed <= limit
        if self.soon:
            self.retry_after = IN_FLIGHT_SECONDS
        elif now and resets_at and needed <= limit:
            self.retry_after = max(1.0, (resets_at - now).total_seconds())

    @property
    def room(self) -> int:
        """Money that is left for a smaller call."""
        return max(0, self.limit - self.spent - self.held)


class Ours(OctantError):
    """Nothing the caller can do."""


class OutputInvalid(Ours):
    """No model of the route gave output that satisfies the schema."""

    code = "output_invalid"

    def __init__(self, message: str, *, violations: tuple[str, ...]) -> None:
        """``violations`` say where and why the last output failed, without quoting it."""
        super().__init__(message)
        self.violations = violations


class AnswerWithheld(Ours):
    """The guard stopped the model's answer. The message never repeats it."""

    code = "answer_withheld"


class TranslationRefused(Ours):
    """Every model refused the request as this service wrote it for a vendor whose form the caller did not use."""

    code = "translation_refused"


class JobLost(Ours):
    """The job's worker died or stalled at each attempt, so that it is not tried again."""

    code = "job_lost"


class Internal(Ours):
    """A defect of this service. The message never carries the cause; the log does, under the request id."""

    code = "internal_error"


class Misconfigured(Exception):
    """Start-up cannot go on. The message says which setting, file or command mends it."""
