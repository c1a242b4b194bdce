"""Chaos cases (E7): a fault of the providers during one request.

The product's answer then has one stated form.

They run after the others and one at a time, on a service of their own whose models are all simulated: its timeouts are short,
and no open circuit of one case reaches the next. They measure the product's conduct in an outage, not the quality of answers:
they have a threshold of their own and count in no other share.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import aiohttp
from pydantic import BaseModel, ConfigDict, Field

from evals.client import Reply, Unreachable

MODE = "provider_fault"  # the failure mode of chaos cases, and of no other case
PATIENCE = 0.2  # of the release's timeouts: some seconds to the first token
# An open circuit, or a spent budget of retries, would answer the next case.
SETTINGS = {"OCTANT_RECOVERY__BREAKER_FAILURES": "1000", "OCTANT_RECOVERY__RETRY_BUDGET_BURST": "1000"}


class Chaos(BaseModel):
    """A fault, the models that it strikes, and the response that the product must give."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fault: dict[str, Any] = Field(description="As the simulator takes it: `kind` and its parameters, without provider and model.")
    strikes: Literal["first", "all"] = Field(description="The first model of the endpoint's fallback chain, or all of them.")
    status: int = Field(default=200, ge=200, le=599, description="HTTP status of the response.")
    code: str = Field(default="", description="The error's code, where the status is one of an error.")
    fallback: bool | None = Field(default=None, description="Whether another model than the first answered; null: either.")

    def wrong(self, reply: Reply, code: str) -> Iterator[str]:
        """Yield the differences from the stated response. ``code`` is that of the response's error."""
        if (reply.status, code) != (self.status, self.code):
            yield f"HTTP {reply.status} {code}".strip() + f", not HTTP {self.status} {self.code}".rstrip()
        elif self.fallback is not None and (reply.trail.fallbacks > 0) is not self.fallback:
            yield "a fallback answered" if reply.trail.fallbacks else "no fallback answered"


class Simulator:
    """Injects faults into the run's simulator. ``models`` are those of the fallback chain, by endpoint."""

    def __init__(self, control: str, models: Mapping[str, Sequence[str]], session: aiohttp.ClientSession) -> None:
        """``control`` is the URL of its control endpoint. ``session`` is the caller's, and closed by it."""
        self._faults = control + "/faults"
        self._models = models
        self._session = session

    @asynccontextmanager
    async def broken(self, chaos: Chaos, endpoint: str) -> AsyncGenerator[None, None]:
        """Inject the fault until the end of the block. Raises Unreachable."""
        struck = self._models[endpoint][:1] if chaos.strikes == "first" else self._models[endpoint]
        targets = [model.partition("/") for model in struck]
        await self._send("PUT", [{**chaos.fault, "provider": provider, "model": model} for provider, _, model in targets])
        try:
            yield
        finally:
            await self._send("DELETE", None)

    async def _send(self, method: str, faults: object) -> None:
        try:
            async with self._session.request(method, self._faults, json=faults) as response:
                if response.status >= 300:
                    raise Unreachable(f"the simulator refuses the fault: {await response.text()}")
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Unreachable(f"the simulator cannot be reached: {type(error).__name__}") from error
