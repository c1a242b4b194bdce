"""Where every other target rests, one that answers a part of its attempts is tried all the same (R5, ADR 0051)."""

from scripted import A, B, Scripted, Step, call_state, error, recovery

from app.domain.errors import (
    ProviderDenied,
    ProviderFailed,
    ProviderGarbled,
    ProviderRateLimited,
    ProvidersUnavailable,
    ProviderTimeout,
)
from app.gateway.recovery.policy import BreakerPolicy, RetryPolicy
from app.gateway.recovery.recovery import Recovery

NO_RETRIES = RetryPolicy(budget_ratio=0, budget_burst=0)
TIRED = BreakerPolicy(failures=5, ratio=0.5, window=60, rest=600, longest_rest=600)


async def calls(room: Recovery, number: int) -> list[bool]:
    """Whether each of so many calls in a row was answered."""
    answered = []
    for _ in range(number):
        try:
            await room.complete(call_state())
            answered.append(True)
        except ProvidersUnavailable:
            answered.append(False)
    return answered


async def test_the_last_target_is_tried_while_it_answers_a_part_of_its_attempts() -> None:
    """R5: one provider refuses our key, the other breaks off three answers of five: two calls of five are answered, not none."""
    part: list[Step] = [error(ProviderGarbled), "x", error(ProviderGarbled), error(ProviderGarbled), "x"]
    a, b = Scripted("a", *[error(ProviderDenied)] * 300), Scripted("b", *part * 60)
    room = recovery(a, b, breaker=TIRED, retries=NO_RETRIES)
    answered = await calls(room, 150)
    assert (room.circuits.state(A), room.circuits.state(B)) == ("open", "open")
    assert a.calls == 5, "a provider that refuses our key gets no more"
    assert sum(answered[50:]) == 40


async def test_a_last_target_that_answers_no_more_is_left_in_peace_again() -> None:
    part: list[Step] = [error(ProviderGarbled), "x"] * 30
    b = Scripted("b", *part, *[error(ProviderFailed)] * 300)
    room = recovery(Scripted("a", *[error(ProviderDenied)] * 300), b, breaker=TIRED, retries=NO_RETRIES)
    await calls(room, 60)
    before = b.calls
    assert not any(await calls(room, 100))
    assert b.calls - before < 60, "its share falls with each attempt that fails"


async def test_a_last_target_that_is_silent_is_not_waited_for() -> None:
    """R1: the error would be the same, only later."""
    part: list[Step] = ["x", error(ProviderTimeout)]
    b = Scripted("b", *part * 20)
    room = recovery(Scripted("a", *[error(ProviderDenied)] * 300), b, breaker=TIRED, retries=NO_RETRIES)
    await calls(room, 20)
    before = b.calls
    assert (room.circuits.state(B), before) == ("open", 10), "not once after its circuit has opened"
    assert not any(await calls(room, 20))
    assert b.calls == before


async def test_a_share_that_fell_by_chance_can_rise_again() -> None:
    """R5: a provider limits us and answers one attempt of seven. After some failures in a row no attempt was left to learn by."""
    unlucky: list[Step] = [error(ProviderRateLimited)] * 40
    part: list[Step] = ["x", *[error(ProviderRateLimited)] * 6]
    a = Scripted("a", *[error(ProviderDenied)] * 300)
    b = Scripted("b", "x", "x", *[error(ProviderRateLimited)] * 5, *unlucky, *part * 40)
    room = recovery(a, b, breaker=TIRED, retries=NO_RETRIES)
    now = 1000.0
    room.circuits.clock = lambda: now
    await calls(room, 60)
    assert list(room.circuits.worth_a_try([B])) == [], "it had one a moment ago"
    answered = []
    for _ in range(100):
        now += 0.5
        answered += await calls(room, 1)
    assert sum(answered) >= 10, "a look each second finds that it answers, and then every call tries it"


async def test_every_last_target_that_answers_a_part_is_tried() -> None:
    """R5: of two that answer one attempt of three each, in turn, a call that the first one fails asks the second."""
    part: list[Step] = ["x", error(ProviderGarbled), error(ProviderGarbled)]
    a, b = Scripted("a", *part * 60), Scripted("b", error(ProviderGarbled), *part * 60)
    room = recovery(a, b, breaker=TIRED, retries=NO_RETRIES)
    answered = await calls(room, 100)
    assert (room.circuits.state(A), room.circuits.state(B)) == ("open", "open")
    assert sum(answered[50:]) > 22, "one alone would answer 17"
