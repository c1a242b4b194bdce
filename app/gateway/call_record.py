"""The durable record of one call (O1), made from its state when it has ended."""

from app.domain.calls import Attempt, Reply, Usage
from app.domain.money import ZERO
from app.domain.quick import replace
from app.domain.records import CallRecord, step_text
from app.gateway.attempt_in_progress import ms_since
from app.gateway.call_state import CallState
from app.gateway.transcript import partial_text, reply_text, request_text


def record_of(state: CallState) -> CallRecord:
    """Return a call's record: cost and tokens of all attempts, provider and model of the last."""
    spending, call, prompt = state.spending, state.call, state.pin.prompt
    last = spending.attempts[-1] if spending.attempts else None
    before, steps = state.span.before()
    steps = (*steps, *state.passed.values())
    return CallRecord(
        id=state.call_id,
        request_id=call.id,
        at=state.at,
        trace_id=state.span.trace_id,
        tenant=call.identity.tenant.id,
        user=call.identity.user,
        key_id=call.identity.key_id,
        feature=call.feature,
        target=call.target,
        release=state.pin.release,
        prompt=prompt.name if prompt else None,
        prompt_version=prompt.version if prompt else None,
        provider=last.provider if last else None,
        model=last.model if last else None,
        model_answered=last.model_answered if last else None,
        stream=call.stream,
        outcome=state.outcome,
        error=state.error,
        latency_ms=ms_since(state.started),
        ttft_ms=state.first_token_ms,
        overhead_ms=state.overhead_ms(),
        usage=sum((a.usage for a in spending.attempts), Usage()),
        cost=spending.cost,
        held=spending.hold.amount if spending.hold else ZERO,
        fallbacks=state.fallbacks,
        degraded=tuple(state.degraded),
        request=request_text(state.request),
        response=reply_text(state.reply) if state.reply else "",
        attempts=tuple(
            _with_response(attempt, response, state.reply)
            for attempt, response in zip(spending.attempts, spending.responses, strict=True)
        ),
        before_ms=before,
        steps=step_text(steps, state.span.span.started) if steps else None,
    )


def _with_response(attempt: Attempt, response: Reply | str, of_call: Reply | None) -> Attempt:
    """The attempt with its response, unless there was none or it is the call's own."""
    if isinstance(response, str):
        return replace(attempt, response=partial_text(response)) if response else attempt
    if of_call and response.parts == of_call.parts:
        return attempt
    return replace(attempt, response=reply_text(response))
