"""A rehearsal without a healthy steady state is not judged, and says why."""

import asyncio

import pytest

from app.stack.baseline import Limits, Sample, Verdict, sickness, take, verdict

LIMITS = Limits(answered=99.0, median=0.5)
WELL = [Sample(answered=True, seconds=0.1)] * 20


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (WELL, ""),
        ([*WELL, Sample(answered=True, seconds=9.0)], ""),
        ([*WELL, Sample(answered=False, seconds=0.1)], "95.2 % of the requests were answered"),
        ([Sample(answered=True, seconds=0.6)] * 20, "half of the requests took longer than 0.60 s"),
        ([Sample(answered=True, seconds=0.1, late=2.0)] * 20, "requests left up to 2.0 s late"),
        (WELL[:4], "only 4 requests were sent"),
        ([], "only 0 requests were sent"),
    ],
)
def test_a_steady_state_is_well_or_says_why_not(samples: list[Sample], reason: str) -> None:
    found = sickness(samples, LIMITS)
    assert bool(found) == bool(reason)
    assert reason in "".join(found)


def test_a_sick_part_is_not_judged_and_a_broken_promise_of_a_well_one_counts() -> None:
    assert verdict(broken=[], sick=[]) == Verdict.KEPT
    assert verdict(broken=[], sick=["slow"]) == Verdict.NOT_JUDGED
    assert verdict(broken=["late"], sick=["slow"]) == Verdict.NOT_KEPT
    assert len({each.exit_code for each in Verdict}) == 3


async def test_samples_leave_at_their_rate_and_an_error_is_no_answer() -> None:
    answers = iter((True, OSError(), TimeoutError(), False, True))
    under_way = 0

    async def ask() -> bool:
        nonlocal under_way
        under_way += 1
        most.append(under_way)
        await asyncio.sleep(0.05)
        under_way -= 1
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    most: list[int] = []
    samples = await take(ask, times=5, every=0.001)
    assert [sample.answered for sample in samples] == [True, False, False, False, True]
    assert all(sample.seconds >= 0.05 for sample in samples)
    assert max(most) > 1, "a slow answer does not hold the next request back"
