"""Writes `docs/recovery.md` from the chaos matrix: `python tests/chaos/document.py`."""

from pathlib import Path

from matrix import ATTEMPTS_PER_TARGET, MATRIX, WITHOUT_VALKEY, Outcome

PATH = "docs/recovery.md"
HEAD = f"""\
# A caller's view of provider failures

Generated from the table in `tests/chaos/matrix.py` by `python tests/chaos/document.py`. `tests/chaos/test_matrix.py` plays
every line against the running service: the official SDKs, real HTTP, a provider process that breaks on command. Do not edit
it by hand.

The route has two targets, `A` and `B`, with {ATTEMPTS_PER_TARGET} attempts at each. An attempt reads *target outcome
price*: `-` means nothing paid, `$` the provider's reported figures, and `~` our upper bound, used if there are no final
figures, or impossible ones: a token for each byte of input, and all the output that the attempt can have generated within
its limit (docs/decisions/0016). An alias with one target, as of embeddings, has no `B`: its callers see what stands in the
lines of *all*. Circuits are closed at the start: one call is not enough to open one. The order of the
steps is at the top of `app/gateway/recovery/recovery.py`.

| fault of the provider | request | at | status | the caller sees | attempts |
|---|---|---|---|---|---|
"""
FOOT = f"""
**With Valkey down** every line is the same: status {WITHOUT_VALKEY.status}, `{WITHOUT_VALKEY.sees}`, no attempt,
nothing paid. Money that cannot be held is not spent (docs/decisions/0007). If Valkey goes down during a call, the call goes
on, and its cost is settled when Valkey is back.

- Errors carry the same `octant-*` headers as answers: attempts, cost, release, trace id.
- *text, then an error event* is an event in the vendor's own form, after which neither `[DONE]` nor `message_stop` comes. A
  route may have such a stream continued by the next model instead (`continue_streams`, docs/decisions/0014).
- If a provider is silent (*hang*), the next one starts as well after a limited time, and the first answer counts
  (docs/decisions/0023). With two targets that time is at most half of the remaining deadline. It is twice the time within
  which 95 % of the model's last answers came, at least 1 s, and 5 s at a worker that knows fewer than ten of them. An
  overtaken attempt reads `provider_timeout ~`. If the deadline ends before both timeouts, the error is `deadline_exceeded`,
  status 504, inside the deadline.
- A model that refuses the request (400, 413, 422) gets it only once, and the next one is tried: models differ in what they
  take. If all refuse, the error has the reason: `context_length_exceeded`, `content_filter`, `request_too_large`, or
  `invalid_request`; `translation_refused` (502) if no model of the vendor in whose form the request came is among them
  (docs/decisions/0029). If another model failed or rests, the error says to wait.
- Only output schemas and strict tools are checked. Output that `max_tokens` has cut ends with `length` and is paid once.
- A whole answer may have 32 MiB, and the text of a stream 16 MiB: what is larger counts as garbled. Large answers are checked in
  a thread, and a stream that is faster than we are gives way every 5 ms, so that other calls are answered meanwhile.
- If a provider requests a wait of more than two seconds, the next one is tried at once.
- Where circuits are open, the error is `providers_rate_limited` if the newest failure of each of them was a limit.
- `providers_unavailable` and `providers_rate_limited` carry `Retry-After`. A feature may declare a static answer for that
  case, as `/v1/support/answer` does: status 200, `octant-degraded: last_resort`.
"""


def render() -> str:
    """The document."""
    lines = [
        _line(fault.title, mode, where, outcome) for fault in MATRIX.values() for (mode, where), outcome in fault.outcomes.items()
    ]
    return HEAD + "\n".join(lines) + "\n" + FOOT


def _line(title: str, mode: str, where: str, outcome: Outcome) -> str:
    at = "the first" if where == "first" else "all"
    sees = outcome.sees if " " in outcome.sees else f"`{outcome.sees}`"
    attempts = "<br>".join(f"`{attempt}`" for attempt in outcome.attempts)
    return f"| {title} | {mode} | {at} | {outcome.status} | {sees} | {attempts} |"


if __name__ == "__main__":
    Path(__file__).resolve().parents[2].joinpath(PATH).write_text(render())
