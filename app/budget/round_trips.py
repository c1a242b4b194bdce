"""Scripts of many calls in one round trip to Valkey.

A round trip costs a worker some ten times the CPU of one more script in it. So scripts that are to run while one round trip is
under way wait for its end and leave together; on a quiet service each leaves at once. Each script stays atomic by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError, RedisError


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a script."""

    script: AsyncScript
    keys: Sequence[str]
    arguments: Sequence[Any]


class RoundTrips:
    """See the module. A cluster client's pipelines take no scripts: there each run is a round trip of its own."""

    def __init__(self, valkey: Redis) -> None:
        """Nothing waits yet."""
        self._valkey = valkey
        self._clustered = isinstance(cast("object", valkey), RedisCluster)  # the same commands, typed apart
        self._waiting: list[tuple[Run, asyncio.Future[Any]]] = []
        self._under_way = False
        self._leaving: asyncio.Task[None] | None = None  # kept, for the loop keeps tasks weakly

    def joining(self, script: AsyncScript) -> Callable[..., Awaitable[Any]]:
        """The script, called as ever, which runs with the next round trip."""

        async def run(*, keys: Sequence[str], args: Sequence[Any]) -> Any:  # noqa: ANN401 - a script's own answer
            return await self.run(Run(script, keys, args))

        return run

    async def run(self, run: Run) -> Any:  # noqa: ANN401 - a script's own answer
        """Run a script: now, or with the next round trip if one is under way. Raises the client's errors."""
        if self._clustered:
            return await run.script(keys=list(run.keys), args=list(run.arguments))
        if self._under_way:
            answer = asyncio.get_running_loop().create_future()
            self._waiting.append((run, answer))
            return await answer
        self._under_way = True
        try:
            (found,) = await self.all([run])
        except (RedisError, OSError) as error:
            self._fail(self._waiting, error)
            raise
        finally:
            self._under_way = bool(self._waiting)
            if self._waiting:
                self._leaving = asyncio.create_task(self._leave())
        if isinstance(found, BaseException):
            raise found
        return found

    async def all(self, runs: Sequence[Run]) -> list[Any]:
        """Run scripts in one round trip. Returns each one's answer or error; raises the client's errors where none has one."""
        if self._clustered:
            each = (run.script(keys=list(run.keys), args=list(run.arguments)) for run in runs)
            return await asyncio.gather(*each, return_exceptions=True)
        async with self._valkey.pipeline(transaction=False) as pipeline:
            for run in runs:
                pipeline.execute_command("EVALSHA", run.script.sha, len(run.keys), *run.keys, *run.arguments)
            answers = await pipeline.execute(raise_on_error=False)
        unknown = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:  # a new server: it is given the script, which then runs as any other
            for script in {runs[at].script for at in unknown}:
                await self._valkey.script_load(script.script)
            again = await asyncio.gather(
                *(runs[at].script(keys=list(runs[at].keys), args=list(runs[at].arguments)) for at in unknown),
                return_exceptions=True,
            )
            for at, answer in zip(unknown, again, strict=True):
                answers[at] = answer
        return answers

    async def _leave(self) -> None:
        """Make round trips until nothing waits."""
        try:
            while self._waiting:
                leaving, self._waiting = self._waiting, []
                try:
                    answers = await self.all([run for run, _ in leaving])
                except (RedisError, OSError) as error:
                    self._fail(leaving, error)
                    self._fail(self._waiting, error)
                    continue
                except BaseException:
                    for _, answer in leaving + self._waiting:
                        answer.cancel()
                    raise
                for (_, answer), found in zip(leaving, answers, strict=True):
                    if answer.done():  # its caller is gone
                        continue
                    if isinstance(found, BaseException):
                        answer.set_exception(found)
                    else:
                        answer.set_result(found)
        finally:
            self._under_way = False

    def _fail(self, waiting: list[tuple[Run, asyncio.Future[Any]]], error: Exception) -> None:
        """Fail what waits for a round trip after one that failed: it would wait as long in vain."""
        failing, waiting[:] = list(waiting), []
        for _, answer in failing:
            if not answer.done():
                answer.set_exception(error)
