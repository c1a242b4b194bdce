"""Circuit breakers: a failing target rests, then gets a probe. The test holds the clock."""

import pytest

from app.domain.errors import OutOfSockets, ProviderFailed, ProviderRejected
from app.domain.routes import Target
from app.gateway.recovery.breaker import ASK_AGAIN, Circuit, Circuits
from app.gateway.recovery.policy import BreakerPolicy, RetryPolicy
from app.gateway.recovery.retry_budget import RetryBudget

A, B = Target("a", "m"), Target("a", "other")
POLICY = BreakerPolicy(failures=3, ratio=0.5, window=10.0, rest=5.0, longest_rest=12.0)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Others:
    """The other replicas: they grant or refuse the probe, and remember each report."""

    def __init__(self, *, grant: bool) -> None:
        self.grant = grant
        self.reported: list[str] = []

    def opened(self, target: Target, circuit: Circuit) -> None:
        self.reported.append("opened" if circuit.until > 1000.0 else "given up")

    def closed(self, target: Target) -> None:
        self.reported.append("closed")

    async def claim(self, target: Target, seconds: float) -> bool:
        return self.grant


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuits(clock: Clock) -> Circuits:
    return Circuits(POLICY, clock=clock)


def fail(circuits: Circuits, times: int = 1, target: Target = A) -> None:
    for _ in range(times):
        circuits.failed(target, "provider_failed")


async def test_enough_failures_open_it_and_only_this_target(circuits: Circuits) -> None:
    fail(circuits, 2)
    assert circuits.state(A) == "closed"
    fail(circuits)
    assert circuits.state(A) == "open"
    assert not await circuits.admit(A, 10)
    assert await circuits.admit(B, 10)


def test_failures_that_are_few_among_successes_do_not_open_it(circuits: Circuits) -> None:
    for _ in range(10):
        circuits.succeeded(A)
    fail(circuits, 9)
    assert circuits.state(A) == "closed"
    fail(circuits)
    assert circuits.state(A) == "open"


def test_failures_older_than_the_window_are_forgotten(circuits: Circuits, clock: Clock) -> None:
    fail(circuits, 2)
    clock.now += 11
    fail(circuits)
    assert circuits.state(A) == "closed"


async def test_after_its_rest_one_call_probes_and_its_success_closes(circuits: Circuits, clock: Clock) -> None:
    fail(circuits, 3)
    clock.now += 5
    assert circuits.state(A) == "half_open"
    assert [await circuits.admit(A, 10) for _ in range(3)] == [True, False, False]
    circuits.succeeded(A)
    assert circuits.state(A) == "closed"
    fail(circuits, 2)
    assert circuits.state(A) == "closed"  # the failures of before are forgotten


async def test_a_probe_that_fails_doubles_the_rest_up_to_the_longest(circuits: Circuits, clock: Clock) -> None:
    fail(circuits, 3)
    rests = []
    for _ in range(4):
        rest = circuits.rest([A])
        assert rest is not None
        rests.append(rest)
        clock.now += rest
        assert await circuits.admit(A, 10)
        fail(circuits)
    assert rests == [5, 10, 12, 12]


async def test_a_probe_that_never_ends_is_followed_by_another(circuits: Circuits, clock: Clock) -> None:
    fail(circuits, 3)
    clock.now += 5
    assert await circuits.admit(A, 10)
    clock.now += 10
    assert await circuits.admit(A, 10)


async def test_a_probe_whose_caller_left_lets_the_next_call_probe(circuits: Circuits, clock: Clock) -> None:
    circuits.sharing = others = Others(grant=True)
    fail(circuits, 3)
    clock.now += 5
    assert await circuits.admit(A, 10)
    circuits.abandoned(A)
    assert await circuits.admit(A, 10)
    assert others.reported == ["opened", "opened"]


async def test_a_worker_that_is_refused_the_probe_asks_again_soon(circuits: Circuits, clock: Clock) -> None:
    circuits.sharing = others = Others(grant=False)
    fail(circuits, 3)
    clock.now += 5
    assert not await circuits.admit(A, 10)
    others.grant = True
    assert not await circuits.admit(A, 10)
    clock.now += ASK_AGAIN
    assert await circuits.admit(A, 10)


def test_outcomes_of_calls_that_began_before_it_opened_change_nothing(circuits: Circuits, clock: Clock) -> None:
    fail(circuits, 3)
    circuits.succeeded(A)
    fail(circuits)
    assert circuits.state(A) == "open"
    assert circuits.rest([A]) == 5


@pytest.mark.parametrize(("kind", "state"), [(ProviderFailed, "open"), (ProviderRejected, "closed")])
def test_a_refused_request_is_not_the_providers_failure(
    circuits: Circuits, kind: type[ProviderFailed | ProviderRejected], state: str
) -> None:
    for _ in range(3):
        with pytest.raises(kind), circuits.watch(A, given=60, wanted=45):
            raise kind("no", provider="a", model="m")
    assert circuits.state(A) == state


@pytest.mark.parametrize("error", [KeyError(), OutOfSockets("none left", provider="a", model="m")], ids=["defect", "sockets"])
def test_an_error_that_the_provider_did_not_cause_counts_for_nothing(circuits: Circuits, error: Exception) -> None:
    for _ in range(5):
        with pytest.raises(type(error)), circuits.watch(A, given=60, wanted=45):
            raise error
    assert circuits.state(A) == "closed"


def test_a_retry_budget_bounds_retries_to_a_burst_and_a_share_of_first_attempts() -> None:
    """With everything failing: of 1,000 calls, 10 + 10 % are retried, not 1,000."""
    budget = RetryBudget(RetryPolicy(budget_ratio=0.1, budget_burst=10))
    retried = 0
    for _ in range(1000):
        budget.first_attempt()
        retried += budget.retry()
    assert 108 <= retried <= 110
