"""The port of every model vendor: one request in, a reply or a stream of chunks out.

An adapter translates; it decides nothing. Retries, fallback, deadlines between attempts, prices and caps are elsewhere.
"""

import math
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.domain.calls import Chunk, Reply, Usage
from app.domain.embeddings import Inputs, VectorSpace
from app.domain.messages import Message, Native, OutputSchema, Sampling, Text, ToolChoice, ToolResult, ToolSpec, Vendor
from app.domain.quick import quick


@quick
@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. ``total`` bounds a whole answer, and a stream up to its first token; ``stream`` all of a stream."""

    connect: float
    first_token: float
    idle: float
    total: float
    stream: float = math.inf


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One attempt at one model: everything merged and decided. ``sampling.max_output_tokens`` is always set.

    ``headers`` are sent to the provider as they are (`traceparent`). ``requested`` names features that the caller itself
    wants (``temperature``, ``thinking``): a provider without one of them must not get the call. The route's own are not in it.
    ``native``, ``betas``, ``embed``, ``form``, ``size``, ``on_input``: see `Call`; ``space``: the vectors that ``embed``
    must give. ``canary`` stands in the system text.
    """

    model: str
    system: tuple[Text, ...]
    messages: tuple[Message, ...]
    sampling: Sampling
    timeouts: Timeouts
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    output: OutputSchema | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    requested: frozenset[str] = frozenset()
    native: Mapping[Vendor, Mapping[str, Any]] = field(default_factory=dict)
    betas: tuple[str, ...] = ()
    embed: Inputs | None = None
    space: VectorSpace | None = None
    form: Vendor | None = None
    on_input: Callable[[Usage], None] | None = None
    canary: str = ""
    size: int = 0

    @property
    def shown_system(self) -> tuple[str, ...]:
        """The system texts without the canary, for records and spans: who knows it can leave it out of a leak."""
        texts = tuple(text.text for text in self.system)
        return tuple(text.replace(self.canary, CANARY) for text in texts) if self.canary else texts


# Fields of a tool that change nothing where they are not known.
HARMLESS_OPTIONS = frozenset({"eager_input_streaming"})


def foreign(request: ModelRequest, vendor: Vendor) -> frozenset[str]:
    """What a request needs of another vendor alone: its fields by name, its content blocks by type."""
    fields = {name for other, own in request.native.items() if other != vendor for name in own}
    parts = [part for message in request.messages for part in message.parts]
    parts += [inner for part in parts if isinstance(part, ToolResult) for inner in part.content]
    blocks = (part for part in parts if isinstance(part, Native) and part.vendor != vendor)
    found = (request.requested & fields) | {str(block.block.get("type")) for block in blocks}
    if vendor == "anthropic":
        return found
    options = {name for tool in request.tools for name in tool.options} - HARMLESS_OPTIONS
    return found | {f"tools.{name}" for name in options}


NOTHING: frozenset[str] = frozenset()
CANARY = "<canary>"  # in its place


def says_text_alone(request: ModelRequest) -> bool:
    """Whether a request is turns of text and nothing else: every vendor can take all of it, so nothing has to be looked up."""
    if request.requested or request.native or request.tools or request.output or request.sampling.stop or request.embed:
        return False
    messages = request.messages
    return bool(messages) and all(message.parts and all(map(_speaks, message.parts)) for message in messages)


def _speaks(part: object) -> bool:
    return type(part) is Text and part.text != "" and not part.text.isspace()


class Provider(Protocol):
    """One configured endpoint of one vendor. Both verbs raise only `app.domain.errors.ProviderError` and its leaves.

    Cancelling the task (or closing the generator) closes the upstream connection. A stream that ends without `Done` does
    not exist: the adapter raises `ProviderGarbled` with the usage as reported so far.
    """

    name: str

    def lacks(self, request: ModelRequest) -> frozenset[str]:
        """Parameters of the request that this vendor's API lacks. From memory."""
        ...

    async def count_tokens(self, request: ModelRequest) -> int | None:
        """The input tokens as the vendor counts them; None where it offers no count."""
        ...

    async def complete(self, request: ModelRequest) -> Reply:
        """Send and wait for the whole reply."""
        ...

    async def embed(self, request: ModelRequest) -> Reply:
        """Send ``request.embed`` and wait for a vector for each input, in their order."""
        ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """Send and yield deltas as they arrive, then `Done`."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class KeyedProvider(Provider, Protocol):
    """A provider whose key can be rotated while it serves."""

    def use_key(self, key: str) -> None:
        """Send this key from the next request on; an empty one is sent as none."""
        ...
