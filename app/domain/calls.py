"""One call through the gateway: identity, request, reply, usage."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.embeddings import Inputs
from app.domain.messages import (
    Message,
    Native,
    OutputSchema,
    Part,
    Refusal,
    Sampling,
    StopReason,
    Text,
    Thinking,
    ToolChoice,
    ToolSpec,
    ToolUse,
    Vendor,
)
from app.domain.money import ZERO, MicroUSD
from app.domain.quick import quick

PART_SIZE = 32  # characters that one part counts as besides its own


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Limits a minute, and at once. None: no limit."""

    requests: int | None = None
    tokens: int | None = None
    concurrency: int | None = None

    def __bool__(self) -> bool:
        """Whether anything is limited."""
        return not (self.requests is self.tokens is self.concurrency is None)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A paying customer of the service. Caps are per calendar day and month in its own ``time_zone`` (IANA); None: no cap.

    ``user_daily_cap`` and ``user_monthly_cap`` are for each of its users who has none of their own; ``request_cap`` for one call
    with all its attempts.
    """

    id: str
    name: str
    daily_cap: MicroUSD
    user_daily_cap: MicroUSD
    monthly_cap: MicroUSD | None = None
    user_monthly_cap: MicroUSD | None = None
    request_cap: MicroUSD | None = None
    time_zone: str = "UTC"
    limits: RateLimits = RateLimits()


@quick
@dataclass(frozen=True, slots=True)
class Identity:
    """The caller: tenant, key and scopes proven by the API key; the user as the tenant asserts.

    ``limits`` are the key's own, beside its tenant's. ``bound``: the key is its user's alone, who learns nothing of the others.
    """

    tenant: Tenant
    key_id: str
    user: str
    scopes: frozenset[str] = frozenset({"call"})
    limits: RateLimits = RateLimits()
    bound: bool = False

    @property
    def actor(self) -> str:
        """The key as the operators' log names it."""
        return f"key:{self.key_id} of {self.tenant.id}"


@quick
@dataclass(frozen=True, slots=True)
class Deadline:
    """One point in time for a whole call, over all retries and fallbacks. Seconds on the monotonic clock.

    ``chosen``: the seconds that the caller itself set, which bound a stream as well; None where it set none.
    """

    at: float
    total: float
    chosen: float | None = None

    @classmethod
    def after(cls, seconds: float, chosen: float | None = None) -> "Deadline":
        """A deadline ``seconds`` from now."""
        return cls(at=time.monotonic() + seconds, total=seconds, chosen=chosen)

    def of_stream(self, longest: float) -> "Deadline":
        """The deadline of a stream that has begun: ``longest`` seconds from the call's begin, or the caller's own if shorter."""
        total = max(self.total, longest) if self.chosen is None else max(self.total, min(self.chosen, longest))
        return Deadline(at=self.at - self.total + total, total=total, chosen=self.chosen)

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request to the gateway.

    ``target`` is a model alias (a route of the live release) or a prompt's name such as ``support/answer``. With a prompt,
    ``variables`` fill its templates and ``messages`` follow the rendered prompt (the turns of a tool loop). ``last_resort`` is
    the feature's static answer for when no model can give one; without it the caller gets the error. ``finish`` is what the
    feature makes of a whole answer's text; the guard looks at what it returns, so nothing changes a text after the guard.
    ``native``: fields of the body that one vendor alone has, passed to its models unchanged; ``needs`` names those of them (and
    other features) that change the answer, so that a model without them is passed over. ``betas``: Anthropic's, allowed by us.
    ``without``: optional features that the caller offered and no model of ours has (web search), for `octant-degraded`.
    ``embed``: the inputs of an embeddings call, which has no messages. ``prompt_version``: the version that the caller wants.
    ``on_input`` gets the input's tokens ahead of the answer: an estimate as each attempt begins, and the vendor's report.
    ``form``: the vendor in whose form the request came; None: a feature of this service made it. ``size``: bytes of its body, as
    a measure of the work on it; 0 where a feature made it.
    """

    id: str
    identity: Identity
    feature: str
    target: str
    deadline: Deadline
    messages: tuple[Message, ...] = ()
    system: tuple[Text, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    output: OutputSchema | None = None
    sampling: Sampling = field(default_factory=Sampling)
    stream: bool = False
    last_resort: str | None = None
    finish: Callable[[str], str] | None = None
    native: Mapping[Vendor, Mapping[str, Any]] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    betas: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    embed: Inputs | None = None
    prompt_version: str | None = None
    on_input: "Callable[[Usage], None] | None" = None
    form: Vendor | None = None
    size: int = 0


@quick
@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as billed. ``input`` excludes ``cached_input`` and ``cache_write``; ``output`` includes ``reasoning``.

    ``cache_write`` includes ``cache_write_1h``: what is kept for an hour costs more to write.

    The parts of the input add up (Anthropic's convention); reasoning is a share of the output (OpenAI's), so each token is
    priced once. ``estimated``: a figure is our upper bound; from a provider's adapter, the output's is not final.
    """

    input: int = 0
    output: int = 0
    cached_input: int = 0
    cache_write: int = 0
    reasoning: int = 0
    estimated: bool = False
    cache_write_1h: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        """The usage of two replies together."""
        return Usage(
            self.input + other.input,
            self.output + other.output,
            self.cached_input + other.cached_input,
            self.cache_write + other.cache_write,
            self.reasoning + other.reasoning,
            self.estimated or other.estimated,
            self.cache_write_1h + other.cache_write_1h,
        )

    @property
    def total(self) -> int:
        """Every token once."""
        return self.input + self.cached_input + self.cache_write + self.output


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A complete answer of one model. ``stop_details``: Anthropic's reason for a refusal, as it came.

    ``logprobs``: OpenAI's log probabilities of the text's tokens, as they came.
    ``vectors``: of an embeddings call, in the order of its inputs (`domain.embeddings`); it has no parts.
    ``native``: further fields of the answer that one vendor alone has, for callers of its form.
    """

    parts: tuple[Part, ...]
    stop: StopReason
    usage: Usage
    provider: str
    model: str
    stop_sequence: str | None = None
    stop_details: Mapping[str, Any] | None = None
    logprobs: Mapping[str, Any] | None = None
    native: Mapping[Vendor, Mapping[str, Any]] = field(default_factory=dict)
    provider_request_id: str | None = None
    vectors: tuple[bytes, ...] = ()

    @property
    def text(self) -> str:
        """All text parts joined."""
        if len(self.parts) == 1 and type(only := self.parts[0]) is Text:  # nearly every answer
            return only.text
        return "".join(p.text for p in self.parts if isinstance(p, Text))

    @property
    def size(self) -> int:
        """Characters of text, reasoning and arguments, and some for each part: what checks of an answer take their time for."""
        if len(self.parts) == 1 and type(only := self.parts[0]) is Text:
            return len(only.text)
        texts = (p.text for p in self.parts if isinstance(p, Text | Thinking | Refusal | Native))
        return PART_SIZE * len(self.parts) + sum(map(len, texts)) + sum(len(use.arguments) for use in self.tool_uses)

    @property
    def tool_uses(self) -> tuple[ToolUse, ...]:
        """The tool calls, in order."""
        return tuple(p for p in self.parts if isinstance(p, ToolUse))

    @property
    def thinking(self) -> tuple[Thinking, ...]:
        """The reasoning blocks, in order."""
        return tuple(p for p in self.parts if isinstance(p, Thinking))


@quick
@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of the part at ``index`` (positions in the final `Reply.parts`)."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """More reasoning of the part at ``index``, or its signature, or its sealed data (then the part has nothing else).

    ``signed``: the part begins, and its vendor signs reasoning.
    """

    index: int
    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    signed: bool = False


@dataclass(frozen=True, slots=True)
class ToolUseStart:
    """A tool call begins at ``index``. ``signature`` as in `ToolUse`."""

    index: int
    id: str
    name: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ToolUseDelta:
    """More JSON text of the tool call at ``index``."""

    index: int
    arguments: str


@dataclass(frozen=True, slots=True)
class CitationDelta:
    """A source of the text at ``index``, in the form of Anthropic's API."""

    index: int
    citation: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NativeDelta:
    """A whole block of one vendor alone, at ``index``."""

    index: int
    part: Native


@quick
@dataclass(frozen=True, slots=True)
class Done:
    """The end of a stream that ended well: the whole reply, usage included. A stream without it was cut."""

    reply: Reply


def size_of(chunk: "Chunk") -> int:
    """Characters of a chunk, as `Reply.size`."""
    match chunk:
        case TextDelta(text=text) | ThinkingDelta(text=text) | ToolUseDelta(arguments=text):
            return len(text)
        case Done(reply=reply):
            return reply.size
        case _:
            return 0


Delta = TextDelta | ThinkingDelta | ToolUseStart | ToolUseDelta | CitationDelta | NativeDelta
Chunk = Delta | Done


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request to one provider. ``outcome`` is ``ok`` or an error type's code; times in milliseconds.

    ``response`` is what came back, as JSON text: of a stream that broke, what had arrived. None where nothing did, or where it is
    the call's own response. ``violations`` say what was wrong with it: paths and rules. ``provider_key``: the fingerprint of our
    key at the provider.
    """

    number: int
    provider: str
    model: str
    outcome: str
    started_ms: float
    latency_ms: float
    ttft_ms: float | None = None
    usage: Usage = Usage()
    cost: MicroUSD = ZERO
    model_answered: str | None = None
    error: str | None = None
    provider_request_id: str | None = None
    provider_key: str | None = None
    response: str | None = None
    violations: tuple[str, ...] = ()


@quick
@dataclass(frozen=True, slots=True)
class RateState:
    """One rate limit after a call was counted. ``reset``: seconds until all of it is there again."""

    limit: int
    remaining: int
    reset: float


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Facts about an answer for its caller: the ``octant-*`` and rate limit headers.

    ``rates`` by what is limited (``requests``, ``tokens``): of the tenant's and the key's, the one with less left.
    ``prompt``: name and version of the prompt, ``support/answer@v2``; empty where an alias was called.
    """

    request_id: str
    trace_id: str
    release: str
    provider: str
    model: str
    attempts: int
    fallbacks: int
    degraded: tuple[str, ...] = ()
    cost: MicroUSD = ZERO
    overhead_ms: float = 0.0
    rates: Mapping[str, RateState] = field(default_factory=dict)
    prompt: str = ""


@quick
@dataclass(frozen=True, slots=True)
class Answer:
    """A reply and its receipt."""

    reply: Reply
    receipt: Receipt
