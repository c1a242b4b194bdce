"""Common parts of both vendors' failures: HTTP statuses, Retry-After, and the transport.

No vendor text is passed on: error messages of vendors quote keys ("Incorrect API key provided: sk-…") and prompts. Only short
machine words (type, code, parameter path) are, and only if they look like such.
"""

import errno
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from app.domain.errors import (
    OutOfSockets,
    ProviderDenied,
    ProviderError,
    ProviderFailed,
    ProviderGarbled,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnreachable,
    TimeoutPhase,
)
from app.gateway.providers.refusals import Refused, broke_down, denies, limits, stumbled, trouble
from app.gateway.providers.timeouts import timed_out
from app.gateway.providers.waits import wait_of


class ProtocolError(ValueError):
    """An answer that we cannot make sense of. Its message is ours and quotes nothing."""


class NotConnected(aiohttp.ClientConnectionError):
    """The connection never stood, so nothing was sent. Its message is ours and quotes nothing."""


class ReportedError(ProtocolError):
    """The server reports an error in an answer with the status 200."""

    def __init__(self, error: object) -> None:
        """``error``: its object, or its text."""
        super().__init__("The server reports an error.")
        self.body = error
        found = error if isinstance(error, Mapping) else {}
        self.type, self.code, self.param = (found.get(name) for name in ("type", "code", "param"))


def error_within(document: object) -> object:
    """The error that a successful answer holds in the place of one, in any of the envelopes that servers have; else None."""
    if not isinstance(document, Mapping):
        return None
    error = document.get("error")
    if error or document.get("object") == "error" or document.get("type") == "error":
        return error if error and isinstance(error, Mapping | str) else document
    groq, state = document.get("x_groq"), document.get("base_resp")  # of Groq, of MiniMax
    if isinstance(groq, Mapping) and groq.get("error"):
        return groq["error"]
    if isinstance(state, Mapping) and state.get("status_code") not in (None, 0, 200):
        return state
    return None if "choices" in document or "content" in document else _bare_error(document)


def _bare_error(document: Mapping[str, object]) -> object:
    if errors := document.get("errors"):
        return errors[0] if isinstance(errors, list) else errors
    words = (document.get(name) for name in ("msg", "message", "detail", "error_msg", "error_message"))
    return document if any(text and isinstance(text, str) for text in words) else None


_STATUSES = frozenset(map(str, (400, 401, 402, 403, 404, 408, 409, 413, 422, 424, 429, 498, *range(500, 600))))
MACHINE_WORD = re.compile(r"[A-Za-z0-9_.\[\]-]{1,80}\Z")


@dataclass(frozen=True, slots=True)
class Blame:
    """The target that failed: set on every error. ``own_form`` as in `ProviderRejected`."""

    provider: str
    model: str
    own_form: bool = False

    def error(self, kind: type[ProviderError], message: str, *, request_id: str | None = None) -> ProviderError:
        """One error of this attempt."""
        error = kind(message, provider=self.provider, model=self.model, request_id=request_id)
        if isinstance(error, ProviderRejected):
            error.own_form = self.own_form
        return error

    def refused(self, refused: Refused, message: str, *, request_id: str | None = None) -> ProviderRejected:
        """The target's refusal of the request, with its reason."""
        error = ProviderRejected(f"{message} ({refused.reason})", provider=self.provider, model=self.model, request_id=request_id)
        error.reason, error.tokens, error.own_form = refused.reason, refused.tokens, self.own_form
        return error


def kind_of_status(status: int, body: object = None) -> type[ProviderError]:
    """Our error for an HTTP status. ``body``: that of a refusal without a reason, which may say that the server broke down."""
    if status in (401, 402, 403, 404, 405, 407, 410, 421) or 300 <= status < 400:
        return ProviderDenied  # a redirect is not followed: it would carry the key to another host
    if status == 429:
        return ProviderRateLimited
    if status in (498, 503, 529):  # 498: Groq's, for a tier without capacity
        return ProviderOverloaded
    if status >= 500 or status in (408, 409, 424, 425, 460, 499):  # 424: TGI's, for a model that broke down
        return ProviderFailed
    if broke_down(body):
        return ProviderOverloaded if trouble(body) else ProviderFailed
    return ProviderRejected


def kind_of_body(body: object) -> type[ProviderError] | None:
    """Our error for a body that says, whatever the status, whose fault it is: ours, or the model's own. Else None."""
    if denies(body):
        return ProviderDenied
    if stumbled(body):
        return ProviderGarbled
    return ProviderRateLimited if limits(body) else None


def kind_of_report(error: object) -> type[ProviderError]:
    """Our error for one that comes with the status 200, after `kind_of_body`: by the status that it names, else by its words."""
    named = (
        [error.get(name) for name in ("code", "status", "status_code", "http_code", "type")] if isinstance(error, Mapping) else []
    )
    status = next((int(word) for value in named if (word := str(value)).isdecimal() and word in _STATUSES), None)
    if status:
        return kind_of_status(status)
    if found := trouble(error):
        return ProviderRateLimited if found == "limited" else ProviderOverloaded
    return ProviderRejected if "invalid_request_error" in named else ProviderFailed


def machine_words(*words: object) -> str:
    """Those of ``words`` that are machine words, for the operator's message."""
    return " ".join(word for word in words if isinstance(word, str) and MACHINE_WORD.match(word))


def with_retry_after(error: ProviderError, headers: Mapping[str, str], body: object = None) -> ProviderError:
    """Note on a limit or an overload how long the provider wants us to wait."""
    if isinstance(error, ProviderRateLimited | ProviderOverloaded):
        error.retry_after = wait_of(headers, body)
    return error


def from_transport(error: BaseException, blame: Blame) -> ProviderError:
    """Translate a failure of the transport, or of reading the answer."""
    if isinstance(error, ProtocolError):
        return blame.error(ProviderGarbled, str(error))
    if isinstance(error, aiohttp.ClientConnectorError) and error.errno in OF_THIS_MACHINE:  # of connecting: nothing was sent
        return blame.error(OutOfSockets, f"This machine has no socket left to connect with ({errno.errorcode[error.errno]}).")
    if isinstance(error, NotConnected | aiohttp.ClientConnectorCertificateError):
        why = str(error) if isinstance(error, NotConnected) else _of_certificate(error.certificate_error)
        return blame.error(ProviderUnreachable, why)
    for kind, verdict, message in _TRANSPORT:
        if isinstance(error, kind):
            if verdict is ProviderTimeout:
                phase: TimeoutPhase = "connect" if isinstance(error, aiohttp.ConnectionTimeoutError) else "total"
                return timed_out(phase, provider=blame.provider, model=blame.model)
            failure = blame.error(verdict, message)
            failure.perhaps_paid = failure.perhaps_paid or message == BROKEN
            return failure
    return blame.error(ProviderUnreachable, "No connection.")


def _of_certificate(error: BaseException) -> str:
    """The fault of the server's certificate, in OpenSSL's words: of those only the host's name is not its own."""
    why = error.verify_message.rstrip(".") if isinstance(error, ssl.SSLCertVerificationError) else "not accepted"
    untrusted = "self-signed" in why or "issuer" in why
    return f"Its certificate is not valid here: {why}.{' SSL_CERT_FILE names the authorities that are.' if untrusted else ''}"


OF_THIS_MACHINE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
BROKEN = "The connection broke after the request was sent."

# In order: the first row that the error is an instance of.
_TRANSPORT: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], type[ProviderError], str], ...] = (
    (aiohttp.ServerTimeoutError, ProviderTimeout, ""),
    (aiohttp.ClientPayloadError, ProviderGarbled, "The answer was cut before its end."),
    ((aiohttp.ClientResponseError, aiohttp.http_exceptions.HttpProcessingError), ProviderGarbled, "Not an HTTP answer."),
    ((aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError), ProviderDenied, "The base URL is not valid."),
    (aiohttp.ClientConnectorSSLError, ProviderUnreachable, "No TLS with this server: is its base URL one of https?"),
    (aiohttp.ClientConnectorDNSError, ProviderUnreachable, "No such host."),
    (aiohttp.ClientProxyConnectionError, ProviderUnreachable, "The proxy that the environment names is not reached."),
    (aiohttp.ClientConnectorError, ProviderUnreachable, "Connection refused, or closed before it stood."),
    (aiohttp.ClientError, ProviderUnreachable, BROKEN),
    ((ssl.SSLError, OSError), ProviderUnreachable, BROKEN),
    ((ValueError, RecursionError), ProviderGarbled, "Not JSON, or not the protocol's."),
)

# Errors of the transport and of reading an answer; anything else is a defect of ours and stays visible as such.
FOREIGN: tuple[type[Exception], ...] = (
    ProviderError,
    aiohttp.ClientError,
    aiohttp.http_exceptions.HttpProcessingError,
    OSError,
    ValueError,
    RecursionError,
)
