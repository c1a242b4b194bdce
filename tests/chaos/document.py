"""Writes `docs/recovery.md` from the chaos matrix: `python tests/chaos/document.py`."""

from pathlib import Path

from matrix import ATTEMPTS_PER_TARGET, MATRIX, WITHOUT_VALKEY, Outcome

PATH = "docs/recovery.md"
HEAD = f"""\
# What a caller sees when a provider fails

Written from the table in `tests/chaos/matrix.py` by `python tests/chaos/document.py`. `tests/chaos/test_matrix.py` plays every
line against the running service: the official SDKs, real HTTP, a provider process that breaks on command. Do not edit it by hand.

A route with two targets, `A` and `B`, and {ATTEMPTS_PER_TARGET} attempts at each. An attempt reads *target outcome price*: `-` is
nothing paid, `$` the figures that the provider reported, `~` our upper bound, where it reported no final figures, or figures that
cannot be: a token for each byte of input, and all the output that the attempt can have made in its limit (docs/decisions/0016).
Circuits are closed at the start: one call is not enough to open one. The order in which things are tried is at the top of
`app/gateway/recovery/recovery.py`.

| the provider gives | asked for | at | status | the caller sees | attempts |
|---|---|---|---|---|---|
"""
FOOT = f"""
**With Valkey away** each of these lines reads alike: status {WITHOUT_VALKEY.status}, `{WITHOUT_VALKEY.sees}`, no attempt,
nothing paid. Money that cannot be held is not spent (docs/decisions/0007). A Valkey that goes away in the middle of a call does
not end the call: what it used is settled when Valkey is back.

- Errors carry the same `octant-*` headers as answers: attempts, cost, release, trace id.
- *text, then an error event* is an event in the vendor's own form, after which neither `[DONE]` nor `message_stop` comes. A route
  may have such a stream continued by the next model instead (`continue_streams`, docs/decisions/0014).
- A provider that is silent (*hang*) is waited for only so long, the next one is asked as well, and the first answer counts
  (docs/decisions/0023): at most half of what the deadline leaves with two targets, about twice as long as answers usually take.
  An attempt that was overtaken reads `provider_timeout ~`. With a deadline that is up before both timeouts, the error is
  `deadline_exceeded`, status 504, inside the deadline.
- A provider that asks for a longer wait than two seconds is left for the next one at once.
- `providers_unavailable` and `providers_rate_limited` carry `Retry-After`. A feature may declare a static answer for that case,
  as `/v1/support/answer` does: status 200, `octant-degraded: last_resort`.
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
