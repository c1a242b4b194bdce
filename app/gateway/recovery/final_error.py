"""Why no target answered, summed up as what the caller can do about it."""

from collections.abc import Sequence

from app.domain.errors import (
    BodyTooLarge,
    ContentFiltered,
    ContextLengthExceeded,
    InvalidRequest,
    OctantError,
    OutputInvalid,
    ProviderError,
    ProviderOutputInvalid,
    ProviderRateLimited,
    ProviderRejected,
    ProvidersRateLimited,
    ProvidersUnavailable,
    Stopped,
    TranslationRefused,
)

RETRY_LATER = 5.0
LONGEST_ADVICE = 60.0


def final_error(
    failures: Sequence[ProviderError], rest: float | None = None, *, passed_over: bool = False, message: str = "",
    limited: bool = False,
) -> OctantError:  # fmt: skip
    """Choose the caller's error. ``rest``: seconds until a target that was passed over may be tried again, if one was.

    ``limited``: the newest failure of each of these was a limit. ``passed_over``: an operator has stopped a target; ``message``
    is that operator's to callers. A refusal is final only where every target has refused: one that failed or rests may take the
    request later.
    """
    if not failures and rest is None:
        return Stopped(f"Every provider of this model is stopped by an operator. {message}".rstrip())
    for failure in failures:
        if isinstance(failure, ProviderOutputInvalid):
            return OutputInvalid("No model gave output that satisfies the schema.", violations=failure.violations)
    rejections = [failure for failure in failures if isinstance(failure, ProviderRejected)]
    if rejections and len(rejections) == len(failures) and rest is None and not passed_over:
        return _refused(rejections)
    if (rest is None or limited) and all(isinstance(failure, ProviderRateLimited) for failure in failures):
        hints = [f.retry_after for f in failures if isinstance(f, ProviderRateLimited) and f.retry_after is not None]
        after = min([*hints, *([] if rest is None else [max(1.0, rest)])], default=RETRY_LATER)
        return ProvidersRateLimited("Every model provider is limiting our rate.", retry_after=min(after, LONGEST_ADVICE))
    after = RETRY_LATER if rest is None else rest if not failures else min(rest, RETRY_LATER)
    return ProvidersUnavailable("No model provider could answer.", retry_after=max(1.0, after))


def _refused(rejections: Sequence[ProviderRejected]) -> OctantError:
    """The caller's error where every target refused: the first reason that a program can act on, in our own words.

    Clients match on some of them: "prompt is too long" and "maximum context length" make coding agents shorten their history,
    "could not process image" take the image out of it. An image is sent as it came, so no translation of ours is at fault.
    """
    by_reason = {rejection.reason: rejection for rejection in reversed(rejections)}
    if too_long := by_reason.get("context_length"):
        found = max((r.tokens for r in rejections if r.tokens), key=lambda tokens: tokens[1], default=None)
        lengths = f"{found[0]} tokens > {found[1]} maximum. " if found else ""
        known = f"This model's maximum context length is {found[1]} tokens." if found else _TOO_LONG
        error: OctantError = ContextLengthExceeded(f"prompt is too long: {lengths}{known}", param="messages")
        error.__cause__ = too_long
        return error
    if too_large := by_reason.get("too_large"):
        error = BodyTooLarge("The request exceeds the maximum size that any model of this route takes.")
        error.__cause__ = too_large
        return error
    if filtered := by_reason.get("content_policy"):
        error = ContentFiltered("The request was refused by the model provider's content filtering policy.")
        error.__cause__ = filtered
        return error
    if "unreadable_media" in by_reason:
        error = InvalidRequest(_UNREADABLE)
    elif any(rejection.own_form for rejection in rejections):
        error = InvalidRequest(_UNPAIRED if "unpaired_tools" in by_reason else _INVALID)
    else:
        error = TranslationRefused("Every model refused the request in the form in which this service sent it.")
    error.__cause__ = rejections[0]
    return error


_TOO_LONG = "This model's maximum context length is exceeded, and that of every other model of the route."
_INVALID = "The model provider refused the request as invalid."
_UNREADABLE = "Could not process image or document of the request: damaged, too large, of another type, or not to be fetched."
_UNPAIRED = f"{_INVALID} Each tool call needs a result directly after its message, and each result a call before it."
