"""One provider's failures: a part of the tree in `errors`, seen only by the gateway."""

from typing import ClassVar, Literal

from app.domain.calls import Reply, Usage

RejectionReason = Literal["invalid", "context_length", "content_policy", "too_large", "unreadable_media", "unpaired_tools"]
TimeoutPhase = Literal["connect", "first_token", "idle", "total"]


class ProviderError(Exception):
    """One provider's failure. ``usage``: it was paid for; ``perhaps_paid``: it may have been, so it counts at its worst."""

    code: ClassVar[str] = "provider_error"
    perhaps_paid: bool = False

    def __init__(
        self, message: str, *, provider: str, model: str, usage: Usage | None = None, request_id: str | None = None
    ) -> None:
        """``message`` is for the operator; it may name the vendor but never carries a key or the prompt."""
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.model = model
        self.usage = usage
        self.request_id = request_id


def codes_of(kind: type[ProviderError] = ProviderError) -> set[str]:
    """The codes of a kind of failure and of all below it."""
    return {kind.code}.union(*(codes_of(one) for one in kind.__subclasses__()))


class Retryable(ProviderError):
    """The same target may be tried again."""


class ProviderTimeout(Retryable):
    """No answer in time; ``phase`` says which of the four timeouts."""

    code = "provider_timeout"
    phase: TimeoutPhase = "total"
    perhaps_paid = True


class ProviderRateLimited(Retryable):
    """HTTP 429. ``retry_after`` in seconds, if the provider gave one."""

    code = "provider_rate_limited"
    retry_after: float | None = None


class ProviderOverloaded(Retryable):
    """HTTP 503 or 529. ``retry_after`` in seconds, if the provider gave one."""

    code = "provider_overloaded"
    retry_after: float | None = None


class ProviderFailed(Retryable):
    """HTTP 500, 502, 504 and the like."""

    code = "provider_failed"


class ProviderUnreachable(Retryable):
    """Refused, reset, or no such host."""

    code = "provider_unreachable"


class OutOfSockets(Retryable):
    """Our machine had no file descriptor, port or memory left for a connection: the provider has no part in it."""

    code = "out_of_sockets"


class ProviderGarbled(Retryable):
    """The answer does not follow the protocol: truncated JSON, wrong content type, a stream cut before its end."""

    code = "provider_garbled"
    perhaps_paid = True


class ProviderDenied(ProviderError):
    """HTTP 401, 402, 403, 404, or a 400 that says so: our key, quota or model. The next may work; an operator must look."""

    code = "provider_denied"


class ProviderOutputInvalid(ProviderError):
    """The reply does not satisfy the call's schema. ``violations`` say where and why, without quoting it; ``reply`` is it."""

    code = "output_invalid"
    violations: tuple[str, ...] = ()
    reply: Reply | None = None


class ProviderRejected(ProviderError):
    """HTTP 400, 413, 422: this target does not take this request. No retry helps; another target may take it.

    ``tokens``: the prompt's length and the most that the model takes, where the vendor says so. ``own_form``: the caller used
    this vendor's form, so the request was not translated from another one.
    """

    code = "provider_rejected"
    reason: RejectionReason = "invalid"
    tokens: tuple[int, int] | None = None
    own_form: bool = False


# Outcomes of attempts that count against their provider. Not among them: a request that the target does not take, a machine of
# ours that is out of sockets, and attempts that were `cancelled`: another model answered first, the caller left, or an operator
# stopped the provider.
FAULTS = frozenset(
    fault.code
    for fault in (
        ProviderTimeout, ProviderRateLimited, ProviderOverloaded, ProviderFailed, ProviderUnreachable, ProviderGarbled,
        ProviderDenied, ProviderOutputInvalid,
    )
)  # fmt: skip
