"""An attempt's cost lies between bill and hold (C1, C6; ADR 0016).

The provider is on a raw socket and keeps its own bill; adapters, vendors' SDKs and the order of recovery are the real ones.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio
from billing import INPUT, MADE, MOST, NOTHING, Bill, Dialect, Shape, Upstream, upstream
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted import A, Scripted, call_state, error, recovery

from app.domain.calls import Attempt, Done
from app.domain.errors import OctantError, ProviderFailed
from app.gateway.call_state import CallState
from app.gateway.providers.anthropic import AnthropicProvider
from app.gateway.providers.base import Provider, Timeouts
from app.gateway.providers.openai import OpenAIProvider

DIALECTS: tuple[Dialect, ...] = ("openai", "anthropic")
PATIENT = Timeouts(connect=60, first_token=60, idle=60, total=60)  # of a busy machine
HURRIED = Timeouts(connect=5, first_token=0.4, idle=0.4, total=5)

# Figures that no honest count can be, for the output and for the whole usage.
LIES: tuple[Any, ...] = (
    NOTHING, None, [], "many", 0, -1, -(10**9), True, "", "x", 1e30, float("nan"), 10**18, 10**6, [1], {}, {"input": INPUT},
    {"input": None, "output": None}, {"input": -5, "output": MADE}, {"input": 0, "output": 0}, {"input": "9", "output": None},
    {"input": 10**12, "output": MADE}, {"input": True, "output": True}, {"usage": 7}, {"usage": [1]}, {"usage": {"x": []}},
    {"input": INPUT, "output": -1, "prompt_tokens_details": {"cached_tokens": 10**6}},
    {"input": INPUT, "output": None, "completion_tokens_details": 5, "prompt_tokens_details": "none"},
)  # fmt: skip


@dataclass(frozen=True)
class Vendors:
    """The provider, and both vendors' adapters on it."""

    upstream: Upstream
    adapters: Mapping[Dialect, Provider]

    async def play(
        self, shape: Shape, *, leave_after: int | None = None, pause: float = 0.0
    ) -> tuple[Attempt, CallState, Bill, bool]:
        """Make one call whose first target is the provider.

        Returns its attempt, the call, the bill, and whether its end was clean.
        """
        way, bill, clean = call_state(attempts=1), self.upstream.play(shape, pause), True
        timeouts = HURRIED if shape.end == "hang" else PATIENT
        way.request, way.call = replace(way.request, timeouts=timeouts), replace(way.call, stream=shape.stream)
        room = recovery(Scripted("a"), Scripted("b", error(ProviderFailed)))
        room.providers = {**room.providers, "a": self.adapters[shape.dialect]}
        try:
            if shape.stream:
                clean = await _read(await room.open(way), leave_after)
            else:
                await room.complete(way)
        except OctantError:
            clean = False
        finally:
            self.upstream.stop()
        return next(a for a in way.spending.attempts if a.provider == A.provider), way, bill, clean


@pytest_asyncio.fixture(scope="module")
async def vendors() -> AsyncIterator[Vendors]:
    async with upstream() as serving:
        openai = OpenAIProvider("a", base_url=f"{serving.url}/v1", api_key="")
        anthropic = AnthropicProvider("a", base_url=serving.url, api_key="")
        yield Vendors(serving, {"openai": openai, "anthropic": anthropic})
        await openai.aclose()
        await anthropic.aclose()


async def _read(chunks: AsyncGenerator[Any, None], leave_after: int | None) -> bool:
    """Read to the end, or leave after so many chunks. Returns whether the end was clean."""
    seen, clean = 0, False
    async with aclosing(chunks):
        async for chunk in chunks:
            seen += 1
            clean = isinstance(chunk, Done)
            if seen == leave_after:
                break
    return clean


def check_bill(attempt: Attempt, way: CallState, bill: Bill) -> None:
    assert len(bill.requests) == 1
    assert bill.tokens <= attempt.cost <= way.worst_case(A), (bill, attempt)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(Shape(tokens=60), id="a clean end without final figures"),
        pytest.param(Shape(tokens=60, stop=False), id="the last word without a stop reason"),
        pytest.param(Shape(tokens=60, stop=False, last_word=False, final=60), id="figures without a stop reason"),
        pytest.param(Shape(tokens=60, last_word=False, end="hang"), id="a stop reason without figures, then silence"),
        pytest.param(Shape(tokens=0, hidden=90, broken=True, end="hang"), id="thinks unseen past the first-token timeout"),
        pytest.param(Shape(tokens=0, hidden=90, broken=True, end="reset"), id="thinks unseen, then resets"),
        pytest.param(Shape(tokens=0, hidden=0, broken=True, end="error"), id="an error event before the first token"),
        pytest.param(
            Shape(tokens=2, size=1, hidden=80, broken=True, end="error"), id="thinks unseen, two tokens, an error event"
        ),
        pytest.param(Shape(silent=True, tokens=90, end="reset"), id="resets before it answers"),
        pytest.param(Shape(silent=True, tokens=90, end="close"), id="closes before it answers"),
        pytest.param(Shape(silent=True, tokens=90, end="hang"), id="never answers"),
        pytest.param(Shape(tokens=60, size=1, broken=True, end="hang"), id="silence in the middle"),
        pytest.param(Shape(tokens=60, running=3), id="running figures that stay small"),
        pytest.param(Shape(tokens=60, first=50, final=1), id="figures that fall"),
        pytest.param(Shape(tokens=10, hidden=60, size=1), id="hidden reasoning and no final figures"),
    ],
)
async def test_a_stream_without_final_figures_counts_at_least_the_bill(vendors: Vendors, dialect: Dialect, shape: Shape) -> None:
    attempt, way, bill, clean = await vendors.play(replace(shape, dialect=dialect))
    check_bill(attempt, way, bill)
    assert attempt.usage.estimated
    assert clean == (shape.stop and not shape.broken and not shape.silent)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_final_figures_that_can_be_are_counted_as_they_are(vendors: Vendors, dialect: Dialect, stream: bool) -> None:
    attempt, _, bill, clean = await vendors.play(Shape(dialect=dialect, stream=stream, hidden=7, tokens=30, final=37))
    assert (attempt.cost, attempt.usage.estimated, clean) == (bill.tokens, False, True)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("final", [37.0, "37"], ids=["float", "string"])
async def test_figures_written_as_floats_or_strings_are_read(vendors: Vendors, dialect: Dialect, final: Any) -> None:  # noqa: ANN401
    for stream in (True, False):
        attempt, _, bill, _ = await vendors.play(Shape(dialect=dialect, stream=stream, tokens=37, final=final))
        assert (attempt.cost, attempt.usage.estimated) == (bill.tokens, False)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("lie", LIES, ids=str)
async def test_figures_that_cannot_be_cost_neither_the_answer_nor_money(
    vendors: Vendors, dialect: Dialect, stream: bool, lie: object
) -> None:
    attempt, way, bill, clean = await vendors.play(Shape(dialect=dialect, stream=stream, tokens=40, hidden=20, size=5, final=lie))
    check_bill(attempt, way, bill)
    assert (clean, attempt.outcome, attempt.usage.estimated) == (True, "ok", True)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_more_cached_input_than_input_is_not_believed(vendors: Vendors, dialect: Dialect) -> None:
    names = {"openai": "prompt_tokens_details", "anthropic": "cache_read_input_tokens"}
    figure: dict[Dialect, Any] = {"openai": {"cached_tokens": 50}, "anthropic": -4}
    attempt, way, bill, _ = await vendors.play(
        Shape(dialect=dialect, tokens=20, final={"input": INPUT, "output": 20, names[dialect]: figure[dialect]})
    )
    check_bill(attempt, way, bill)
    assert (attempt.usage.cached_input, attempt.usage.estimated) == (0, True)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("size", [1, 5])
async def test_a_stream_that_its_caller_leaves_counts_what_was_made_and_never_arrived(
    vendors: Vendors, dialect: Dialect, size: int
) -> None:
    """R7."""
    attempt, way, bill, _ = await vendors.play(Shape(dialect=dialect, tokens=MOST, size=size), leave_after=2, pause=0.001)
    check_bill(attempt, way, bill)


SHAPES = st.builds(
    Shape,
    dialect=st.sampled_from(DIALECTS),
    stream=st.booleans(),
    hidden=st.integers(0, MOST // 2),
    tokens=st.integers(0, MOST // 2),
    size=st.integers(1, 9),
    running=st.sampled_from(LIES),
    first=st.sampled_from(LIES),
    final=st.sampled_from(LIES),
    stop=st.booleans(),
    last_word=st.booleans(),
    broken=st.booleans(),
    silent=st.booleans(),
    end=st.sampled_from(["close", "reset", "error"]),
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(shape=SHAPES, leave_after=st.none() | st.integers(1, 10))
async def test_whatever_a_provider_does_its_bill_is_counted_and_the_hold_is_not_passed(
    vendors: Vendors, shape: Shape, leave_after: int | None
) -> None:
    check_bill(*(await vendors.play(shape, leave_after=leave_after))[:3])
