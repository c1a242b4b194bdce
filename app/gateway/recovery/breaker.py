"""Circuit breakers: a target (a model at a provider) that keeps failing rests (R5).

::

    closed ──── enough failures within the window ────► open
      ▲                                                   │ its rest is over
      └── the probe succeeds ── half-open ◄───────────────┘
                                    │ the probe fails: open again, twice as long

Open, a call goes to the next target without asking this one. Half-open, one call is let through as a probe, one over all
replicas; the others still go on. Where no other target is left, one that answers a part of its attempts is tried all the same: to
refuse every call would be worse than to fail some. (Nygard, "Release It!", 2nd ed. 2018, ch. 5; Fowler, "CircuitBreaker", 2014;
Envoy's panic threshold.)

Each worker judges by what it has seen itself and acts at once, from memory; `shared_circuits.SharedCircuits` informs the others.
Nothing here waits for anything but a probe's claim.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

from app.domain.errors import OutOfSockets, ProviderDenied, ProviderError, ProviderRateLimited, ProviderRejected, ProviderTimeout
from app.domain.routes import Target
from app.gateway.recovery.policy import BreakerPolicy

State = Literal["closed", "half_open", "open"]
STATES: tuple[State, ...] = ("closed", "half_open", "open")  # from well to ill, as the metric counts them

LEAST_GIVEN = 1.0  # seconds, for a target of which nothing is known
LEAST_ANSWERED = 0.05  # of a resting target's attempts: from then on it is worth one where no other target is left
HARDLY_ANSWERED = 0.01  # below it, no attempt but the probes
NEWEST = 0.05  # an attempt's weight in that share
LOOK_AGAIN = 1.0  # seconds between attempts at a target whose share lies between the two
ASK_AGAIN = 0.5  # seconds until a worker that was refused the probe asks for it again

log = logging.getLogger(__name__)


Outcome = Literal["succeeded", "failed", "impatient"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class Window:
    """Outcomes of the last seconds, counted by the second."""

    def __init__(self, seconds: float) -> None:
        """``seconds`` are looked back on."""
        self._seconds = seconds
        self._counts: deque[list[int]] = deque()  # [second, one count for each outcome], oldest first

    def note(self, now: float, outcome: Outcome) -> None:
        """Count one outcome at ``now`` (monotonic seconds)."""
        second = int(now)
        if not self._counts or self._counts[-1][0] != second:
            self._counts.append([second, 0, 0, 0])
        self._counts[-1][1 + OUTCOMES.index(outcome)] += 1
        while self._counts[0][0] < now - self._seconds:
            self._counts.popleft()

    def totals(self) -> tuple[int, int, int]:
        """Successes, failures and impatient failures as of the last `note`."""
        return sum(c[1] for c in self._counts), sum(c[2] for c in self._counts), sum(c[3] for c in self._counts)

    def clear(self) -> None:
        """Forget everything."""
        self._counts.clear()


@dataclass(slots=True)
class Circuit:
    """One target's. ``trips`` counts the rests in a row, 0 is closed; ``since`` is the begin of the first of them.

    ``since``, ``until`` and ``claimed_until`` are on the monotonic clock.

    ``silent`` counts timeouts in a row, however long ago: where calls are few, no window ever holds enough of them.
    ``answered``: of a resting target, the share of its attempts that is answered, as far as is known; 0 where it is silent, or
    refuses our key.
    ``look_again``: when a call may try it though it answered too little.
    ``newest`` is the code of its newest failure, also of one while it was open.
    ``waiting`` are calls that want to know when it opens.
    """

    window: Window
    trips: int = 0
    since: float = 0.0
    until: float = 0.0
    claimed_until: float = 0.0
    cause: str = ""
    newest: str = ""
    silent: int = 0
    answered: float = 0.0
    look_again: float = 0.0
    waiting: set[asyncio.Future[None]] = field(default_factory=set)

    def state(self, now: float) -> State:
        """Its state."""
        if not self.trips:
            return "closed"
        return "open" if now < self.until else "half_open"

    def opens(self) -> None:
        """Wake the calls that wait for a provider of which enough is known now."""
        self.silent = 0
        for waiting in self.waiting:
            if not waiting.done():
                waiting.set_result(None)


class Sharing(Protocol):
    """The exchange between replicas. Without one, a worker uses its own findings."""

    def opened(self, target: Target, circuit: Circuit) -> None:
        """Report an open circuit, or an abandoned probe. Never waits."""
        ...

    def closed(self, target: Target) -> None:
        """Report a closed circuit. Never waits."""
        ...

    async def claim(self, target: Target, seconds: float) -> bool:
        """Claim the one probe, for ``seconds`` at most. True also where the others cannot be reached by then."""
        ...


class Opening:
    """See `Circuits.opening`. A class, because each call opens one."""

    __slots__ = ("_among", "_waiting")

    def __init__(self, among: set[asyncio.Future[None]]) -> None:
        """``among``: the calls that wait for the same."""
        self._among = among

    def __enter__(self) -> asyncio.Future[None]:
        """Begin to wait."""
        self._waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._among.add(self._waiting)
        return self._waiting

    def __exit__(self, *_: object) -> None:
        """Wait no longer."""
        self._among.discard(self._waiting)


@dataclass(slots=True)
class Circuits:
    """All circuits of this worker. ``on_trip`` gets each target whose circuit opens."""

    policy: BreakerPolicy
    sharing: Sharing | None = None
    on_trip: Callable[[Target], None] = lambda _: None
    clock: Callable[[], float] = time.monotonic
    known: dict[Target, Circuit] = field(default_factory=dict)

    def state(self, target: Target) -> State:
        """A target's state now."""
        circuit = self.known.get(target)
        return circuit.state(self.clock()) if circuit else "closed"

    def rest(self, targets: Iterable[Target]) -> float | None:
        """Seconds until the first of ``targets`` may be probed; None where none rests."""
        now = self.clock()
        rests = [circuit.until - now for t in targets if (circuit := self.known.get(t)) and circuit.trips]
        return max(0.0, min(rests)) if rests else None

    def limited(self, targets: Sequence[Target]) -> bool:
        """Whether the newest failure of each of these, which rest, was its limit of our rate; False for none."""
        return bool(targets) and all(self._circuit(target).newest == ProviderRateLimited.code for target in targets)

    def rests_for(self, target: Target) -> float:
        """Seconds since a target's circuit opened, as this worker saw or heard it; 0 where it is closed."""
        circuit = self.known.get(target)
        return max(0.0, self.clock() - circuit.since) if circuit and circuit.trips else 0.0

    async def admit(self, target: Target, seconds: float) -> bool:
        """Whether a call may try this target now; half-open, whether it is the probe. ``seconds``: its longest time."""
        circuit, now = self.known.get(target), self.clock()
        if circuit is None or not circuit.trips:
            return True
        if now < max(circuit.until, circuit.claimed_until):
            return False
        circuit.claimed_until = now + seconds  # before asking: another call of this worker must not ask too
        if self.sharing is None or await self.sharing.claim(target, seconds):
            log.info("circuit half-open, probing", extra=_named(target))
            return True
        circuit.claimed_until = now + ASK_AGAIN  # another replica probes; soon we know what it found
        return False

    def worth_a_try(self, resting: Iterable[Target]) -> Iterator[Target]:
        """Of targets that rest, those that answer enough of their attempts, the largest share first.

        One that answers less gets one attempt each `LOOK_AGAIN` seconds: its share is a guess from few attempts, and one that
        fell by chance could never rise without another.
        """
        for target in sorted(resting, key=lambda target: -self._circuit(target).answered):
            circuit, now = self._circuit(target), self.clock()
            if circuit.answered >= LEAST_ANSWERED:
                yield target
            elif circuit.answered >= HARDLY_ANSWERED and now >= circuit.look_again:
                circuit.look_again = now + LOOK_AGAIN
                yield target

    def opening(self, target: Target) -> "Opening":
        """A future that is done when the target's circuit opens, by what this worker found or another; until a block's end."""
        return Opening(self._circuit(target).waiting)

    def watch(self, target: Target, *, given: float, wanted: float, usual: float | None = None) -> "Watching":
        """Count a provider's failure within a block. Other failures count for nothing; successes are counted elsewhere.

        A request that it refused counts as success: the provider works. ``given`` and ``wanted``: the seconds that the caller's
        deadline leaves the provider, and those that the route allows it. If less is given, a timeout says little: see `silent`.
        """
        return Watching(self, target, given, usual, pressed=given < wanted)

    def note(self, target: Target, error: BaseException | None, given: float, usual: float | None, *, pressed: bool) -> None:
        """Count how a watched block ended; ``pressed``: the caller's deadline left less time than the route allows."""
        if isinstance(error, ProviderRejected):
            self.succeeded(target)
        elif isinstance(error, OutOfSockets):
            self.abandoned(target)
        elif isinstance(error, ProviderTimeout) and pressed:
            self.silent(target, given, usual=usual)
        elif isinstance(error, ProviderError):
            self.failed(target, error.code, silent=isinstance(error, ProviderTimeout))

    def silent(self, target: Target, seconds: float, *, usual: float | None, patient: bool = False) -> None:
        """Count a silence that the caller's deadline, its leaving or another target's answer has ended.

        It counts only where nothing else succeeds, unless ``patient``: longer than this target's answers take. Shorter than they
        ``usual``ly take (unknown: than `LEAST_GIVEN`) it says nothing. Else one impatient caller could open circuits for all.
        """
        if seconds < (LEAST_GIVEN if usual is None else usual):
            self.abandoned(target)
        else:
            self.failed(target, ProviderTimeout.code, impatient=not patient, silent=True)

    def succeeded(self, target: Target) -> None:
        """Count a success; a probe's closes the circuit."""
        circuit, now = self._circuit(target), self.clock()
        circuit.silent = 0
        if circuit.state(now) == "half_open":
            log.warning("circuit closed", extra=_named(target))
            self.close(target)
            if self.sharing:
                self.sharing.closed(target)
        elif not circuit.trips:
            circuit.window.note(now, "succeeded")
        else:  # of a call for which no other target was left, or which began before the circuit opened
            circuit.answered += NEWEST * (1 - circuit.answered)

    def failed(self, target: Target, code: str, *, impatient: bool = False, silent: bool = False) -> None:
        """Count a failure; the last of too many, or a probe's, opens the circuit. ``silent``: a timeout.

        ``impatient``: see `silent`.
        """
        circuit, now = self._circuit(target), self.clock()
        state, circuit.newest = circuit.state(now), code
        hopeless = silent or code == ProviderDenied.code  # a caller would wait for the same error
        if state != "closed":
            circuit.answered = 0.0 if hopeless else circuit.answered * (1 - NEWEST)
        if state == "open":
            return
        if state == "closed":
            circuit.window.note(now, "impatient" if impatient else "failed")
            circuit.silent += silent
            if not self._too_many(circuit):
                return
            succeeded, *others = circuit.window.totals()
            circuit.answered = (
                0.0 if hopeless else (succeeded + 1) / (succeeded + sum(others) + 2)
            )  # Laplace's: none of five is not never
        rest = min(self.policy.rest * 2**circuit.trips, self.policy.longest_rest)
        circuit.since = circuit.since if circuit.trips else now
        circuit.trips, circuit.until, circuit.claimed_until, circuit.cause = circuit.trips + 1, now + rest, 0.0, code
        circuit.window.clear()
        circuit.opens()
        log.warning("circuit opened", extra={**_named(target), "code": code, "trips": circuit.trips, "rest_s": rest})
        self.on_trip(target)
        if self.sharing:
            self.sharing.opened(target, circuit)

    def open_until(
        self, target: Target, until: float, trips: int, claimed_until: float, answered: float = 0.0, cause: str = ""
    ) -> None:
        """Take over what another worker found. Within one rest each worker sees ``answered`` and failures for itself."""
        circuit = self._circuit(target)
        if trips != circuit.trips:
            circuit.answered, circuit.newest = answered, cause
        circuit.window.clear()
        if not circuit.trips:
            circuit.since = self.clock()
            circuit.opens()
        circuit.until, circuit.trips, circuit.claimed_until = until, trips, claimed_until

    def close(self, target: Target) -> None:
        """Close a circuit."""
        circuit = self._circuit(target)
        circuit.trips, circuit.until, circuit.claimed_until, circuit.answered = 0, 0.0, 0.0, 0.0
        circuit.window.clear()

    def abandoned(self, target: Target) -> None:
        """Let the next call probe: this probe ended without an outcome (its caller left, no money)."""
        circuit = self.known.get(target)
        if circuit and circuit.state(self.clock()) == "half_open" and circuit.claimed_until:
            circuit.claimed_until = 0.0
            if self.sharing:
                self.sharing.opened(target, circuit)

    def _too_many(self, circuit: Circuit) -> bool:
        succeeded, failed, impatient = circuit.window.totals()
        if not succeeded:
            failed = max(failed + impatient, circuit.silent)
        return failed >= self.policy.failures and failed >= self.policy.ratio * (succeeded + failed)

    def _circuit(self, target: Target) -> Circuit:
        circuit = self.known.get(target)
        if circuit is None:
            circuit = self.known[target] = Circuit(Window(self.policy.window))
        return circuit


class Watching:
    """See `Circuits.watch`. A class, because each attempt enters one."""

    __slots__ = ("_circuits", "_given", "_pressed", "_target", "_usual")

    def __init__(self, circuits: Circuits, target: Target, given: float, usual: float | None, *, pressed: bool) -> None:
        """As `Circuits.note`."""
        self._circuits, self._target, self._given, self._usual, self._pressed = circuits, target, given, usual, pressed

    def __enter__(self) -> None:
        """Nothing is counted yet."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Count."""
        if error is not None:
            self._circuits.note(self._target, error, self._given, self._usual, pressed=self._pressed)


def _named(target: Target) -> dict[str, str]:
    return {"provider": target.provider, "model": target.model}
