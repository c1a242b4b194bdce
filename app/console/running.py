"""Calls under way on all workers: found by their ids, as a record is written when its call has ended; and their number."""

from collections.abc import Collection, Sequence

from app.budget.under_way import UnderWay, under_way
from app.console import formats
from app.console.console import Console
from app.console.known import Known

MOST = 1_000  # calls that are looked through


async def running(console: Console) -> Known[tuple[int, Sequence[UnderWay]]]:
    """The number of calls under way, and the longest of them."""
    return await console.known.read("under way", under_way(console.parts.valkey))


async def running_with(console: Console, ids: Collection[str]) -> Sequence[UnderWay]:
    """The calls under way with one of these ids, the longest first; none where Valkey is away and nothing was known before."""
    known = await console.known.read("all under way", under_way(console.parts.valkey, most=MOST))
    calls = known.value[1] if known.value else ()
    return [call for call in calls if call.trace_id and not {call.call_id, call.trace_id, call.request_id}.isdisjoint(ids)]


async def number_running(console: Console) -> str:
    """The number of calls under way, in words; of this worker's requests where Valkey is away."""
    known = await running(console)
    if known.value and not known.away:
        return f"{formats.number(known.value[0], 'call')} under way on all workers"
    return f"{formats.number(max(0, console.parts.running.count - 1), 'request')} under way on this worker"  # less this one
