"""An adapter for a vendor with a wire of its own.

As a fork would write it; `tests/contract/test_adapters.py` adds it.

The wire: ``POST /speak`` takes ``{"voice": MODEL, "heard": TEXT}`` and answers ``{"says": TEXT, "seeds": [IN, OUT]}``.
"""

from collections.abc import AsyncGenerator

import aiohttp

from app.domain.calls import Chunk, Done, Reply, TextDelta, Usage
from app.domain.errors import ProviderDenied, ProviderFailed
from app.domain.messages import Text
from app.gateway.providers.base import ModelRequest


class ParrotProvider:
    """See `base.Provider`."""

    def __init__(self, name: str, *, base_url: str, api_key: str) -> None:
        self.name = name
        self._url = base_url + "/speak"
        self._key = api_key

    def use_key(self, key: str) -> None:
        self._key = key

    def lacks(self, request: ModelRequest) -> frozenset[str]:
        return request.requested

    async def count_tokens(self, request: ModelRequest) -> int | None:
        del request
        return None

    async def complete(self, request: ModelRequest) -> Reply:
        heard = " ".join(part.text for message in request.messages for part in message.parts if isinstance(part, Text))
        body, headers = {"voice": request.model, "heard": heard}, {**request.headers, "x-cracker": self._key}
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(request.timeouts.total)) as http,
                http.post(self._url, json=body, headers=headers) as answer,
            ):
                if answer.status == 403:
                    raise ProviderDenied("no cracker", provider=self.name, model=request.model)
                reply = await answer.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ProviderFailed(type(error).__name__, provider=self.name, model=request.model) from None
        eaten, given = reply["seeds"]
        usage = Usage(input=eaten, output=given)
        return Reply(parts=(Text(reply["says"]),), stop="end", usage=usage, provider=self.name, model=request.model)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        reply = await self.complete(request)
        yield TextDelta(0, reply.text)
        yield Done(reply)

    async def aclose(self) -> None:
        """Nothing stays open."""
