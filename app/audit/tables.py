"""One row a call, one row an attempt, in a partition for each UTC day. All text in them is redacted.

Text from outside (a user's name, a provider's words) has the type ``Text``: a length limit here would refuse the whole record.

Full text is found through a GIN index over ``to_tsvector('simple', …)`` and not by ILIKE: scanning a month of prompts takes
minutes, and the trigram index that makes ILIKE fast is several times larger and an extension that not every managed Postgres
grants. The price: words are found whole, not by their middle. ``simple`` neither stems nor drops
words, so order numbers and redaction tokens are found as they stand, in any language. Only the first 50,000 characters of
each side are indexed, because PostgreSQL refuses a row whose tsvector is over 1 MB.

Fields with few values (feature, release, outcome and so on) and the magnitudes of figures are found through one more GIN index
over ``name=value`` facets: a value that is rare is found at once, in any combination, without an index for each field (ADR 0018).
"""

from bisect import bisect_right

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from app.domain.personal import PersonalData

metadata = MetaData()

# Written as PostgreSQL prints it back, so that comparing the migrated schema with this file finds no difference. The texts
# are JSON, in which a line break is the two characters `\n`: without `replace`, the first word of a line would begin with n.
# Without `translate`, text in angle brackets would be taken for a tag and left out: redaction tokens above all.
SEARCH_VECTOR = (
    r"""to_tsvector('simple'::regconfig, translate(replace(("left"(request, 50000) || ' '::text) || "left"(response, 50000),"""
    r""" '\n'::text, ' '::text), '<>'::text, '  '::text))"""
)

# What went wrong, also on the way to an answer. Most calls have no such text: the index holds those that do.
ERRORS_VECTOR = """to_tsvector('simple'::regconfig, translate("left"(errors, 50000), '<>'::text, '  '::text))"""
HAS_ERRORS = text("errors IS NOT NULL")

# Figures are found by their magnitude: `ttft_ms~9` is a time from 500 up to 1000. Latency and cost too, which have indexes of
# their own: a histogram does not show the far end of a long tail, and how frequent a facet is, is known.
STEPS = (*(digit * 10**zeros for zeros in range(6) for digit in (1, 2, 5)), 10**6, 10**7, 10**8)
MAGNITUDES = (
    "latency_ms", "ttft_ms", "overhead_ms", "cost", "held", "fallbacks", "input_tokens", "output_tokens", "cached_input_tokens",
    "cache_write_tokens", "reasoning_tokens",
)  # fmt: skip


def magnitude(value: float) -> int:
    """How many of `STEPS` a figure reaches, as PostgreSQL's ``width_bucket`` counts."""
    return bisect_right(STEPS, value)


def _magnitude_facet(name: str) -> str:
    number = name if name.endswith("_ms") else f"{name}::double precision"
    return f", '{name}~'::text || width_bucket({number}, '{{{','.join(map(str, STEPS))}}}'::double precision[])::text"


# Likewise as PostgreSQL prints it back.
FACETS = (
    "(degraded::text[] || ARRAY['feature='::text || feature::text, 'target='::text || target, 'release='::text || release::text,"
    " 'prompt='::text || COALESCE(prompt, ''::character varying)::text,"
    " 'prompt_version='::text || COALESCE(prompt_version, ''::character varying)::text,"
    " 'provider='::text || COALESCE(provider, ''::character varying)::text,"
    " 'model='::text || COALESCE(model, ''::text), 'model_answered='::text || COALESCE(model_answered, ''::text),"
    " 'outcome='::text || outcome::text, 'key_id='::text || key_id::text" + "".join(map(_magnitude_facet, MAGNITUDES)) + "])"
)
FAILED = text("(outcome)::text <> 'ok'::text")

calls = Table(
    "calls",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("request_id", String(128), nullable=False),
    Column("at", DateTime(timezone=True), primary_key=True),
    Column("trace_id", String(32), nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("user", Text, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("feature", String(64), nullable=False),
    Column("target", Text, nullable=False),
    Column("release", String(64), nullable=False),
    Column("prompt", String(128), nullable=True),
    Column("prompt_version", String(32), nullable=True),
    Column("provider", String(64), nullable=True),
    Column("model", Text, nullable=True),
    Column("model_answered", Text, nullable=True),
    Column("stream", Boolean, nullable=False),
    Column("outcome", String(64), nullable=False),
    Column("error", Text, nullable=True),
    Column("latency_ms", Float, nullable=False),
    Column("ttft_ms", Float, nullable=True),
    Column("overhead_ms", Float, nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("cached_input_tokens", Integer, nullable=False),
    Column("cache_write_tokens", Integer, nullable=False),
    Column("reasoning_tokens", Integer, nullable=False),
    Column("usage_estimated", Boolean, nullable=False),
    Column("cost", BigInteger, nullable=False, comment="micro-dollars"),
    Column("held", BigInteger, nullable=False, comment="micro-dollars"),
    Column("fallbacks", Integer, nullable=False),
    Column("degraded", ARRAY(String(64)), nullable=False),
    Column("request", Text, nullable=False),
    Column("response", Text, nullable=False),
    Column("replay_of", String(128), nullable=True, comment="request id whose stored answer was given again"),
    Column("before_ms", Float, nullable=True, comment="from the request's arrival to this call"),
    Column("steps", Text, nullable=True, comment="retrieval and tools since the request's last call, as JSON; null for none"),
    Column("errors", Text, nullable=True, comment="the texts of its error and its attempts' errors, to search in; null for none"),
    Index("calls_at", "at"),
    Index("calls_request", "request_id"),
    Index("calls_trace", "trace_id"),
    Index("calls_user", "user", "tenant", "at"),
    Index("calls_tenant_at", "tenant", "at"),
    Index("calls_latency", "latency_ms", "at"),
    Index("calls_cost", "cost", "at"),
    Index("calls_failed_at", "at", postgresql_where=FAILED),
    Index("calls_failed_cost", "cost", "at", postgresql_where=FAILED),
    Index("calls_failed_latency", "latency_ms", "at", postgresql_where=FAILED),
    Index("calls_search", text(SEARCH_VECTOR), postgresql_using="gin"),
    Index("calls_errors", text(ERRORS_VECTOR), postgresql_using="gin", postgresql_where=HAS_ERRORS),
    Index("calls_facets", text(FACETS), postgresql_using="gin"),
    postgresql_partition_by="RANGE (at)",
)

attempts = Table(
    "attempts",
    metadata,
    Column("call_id", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", DateTime(timezone=True), primary_key=True, comment="of the call: both lie in the same day"),
    Column("provider", String(64), nullable=False),
    Column("model", Text, nullable=False),
    Column("model_answered", Text, nullable=True),
    Column("outcome", String(64), nullable=False),
    Column("error", Text, nullable=True),
    Column("started_ms", Float, nullable=False),
    Column("latency_ms", Float, nullable=False),
    Column("ttft_ms", Float, nullable=True),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("cached_input_tokens", Integer, nullable=False),
    Column("cache_write_tokens", Integer, nullable=False),
    Column("reasoning_tokens", Integer, nullable=False),
    Column("usage_estimated", Boolean, nullable=False),
    Column("cost", BigInteger, nullable=False, comment="micro-dollars"),
    Column("provider_request_id", Text, nullable=True),
    Column("provider_key", String(8), nullable=True, comment="fingerprint of our key at the provider"),
    Column("response", Text, nullable=True, comment="what came back; null if nothing did, or if it is the call's response"),
    Column("violations", ARRAY(Text), nullable=True, comment="what was wrong with it: paths and rules"),
    # Rows come in the order of time: ranges of pages are enough, and cost a write next to nothing.
    Index("attempts_at", "at", postgresql_using="brin", postgresql_with={"pages_per_range": 32, "autosummarize": True}),
    postgresql_partition_by="RANGE (at)",
)

# The operators' log. A trigger refuses every change but a new row; each row's mac is over it and the mac before it.
actions = Table(
    "actions",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False, comment="without gaps: the place in the chain"),
    Column("id", Uuid, nullable=False, unique=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False, comment="os:user@host or key:id"),
    Column("action", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("outcome", String(64), nullable=False, comment="ok or an error's code"),
    Column("mac", String(64), nullable=False, comment="HMAC-SHA256 of the row and of the mac before it"),
)

actions_head = Table(
    "actions_head",
    metadata,
    Column("one", Boolean, primary_key=True, comment="true: there is one row"),
    Column("number", BigInteger, nullable=False, comment="of the newest action"),
    Column("mac", String(64), nullable=False, comment="HMAC-SHA256 of the newest action's number and mac"),
)

erasures = Table(
    "erasures",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("person", String(32), primary_key=True, comment="pseudonym: the id itself is forgotten"),
    Column("at", DateTime(timezone=True), nullable=False, comment="records of calls up to here are not written"),
)

failed_answers = Table(
    "failed_answers",
    metadata,
    Column("at", DateTime(timezone=True), primary_key=True, comment="the minute"),
    Column("tenant", Text, primary_key=True, comment="empty where no valid key came"),
    Column("path", Text, primary_key=True, comment="the route's template"),
    Column("status", Integer, primary_key=True, autoincrement=False),
    Column("code", Text, primary_key=True),
    Column("answers", BigInteger, nullable=False),
    Column("request_id", Text, nullable=False, comment="of the last one"),
    Column("key_id", Text, nullable=False, comment="of the last one"),
    Column("message", Text, nullable=False, comment="of the last one, redacted"),
    Column("keys", JSONB, nullable=False, server_default="{}", comment="answers by key, of those with the most"),
)

_ATTEMPTS_OF = '(call_id, at) IN (SELECT id, at FROM calls WHERE tenant = :tenant AND "user" = ANY(:users))'

# Attempts first: they are found through their calls.
PERSONAL = (
    PersonalData(table="attempts", columns=("error", "provider_request_id", "response", "violations"), where=_ATTEMPTS_OF),
    PersonalData(table="calls", columns=("user", "request_id", "error", "errors", "request", "response", "replay_of")),
)
NOT_PERSONAL = {
    "calls.steps": "names of our indexes and tools",
    "calls.target": "a name of the release",
    "calls.model": "a name of the release",
    "calls.model_answered": "the provider's name for it",
    "calls.prompt": "a name of the release",
    "attempts.model": "a name of the release",
    "attempts.model_answered": "the provider's name for it",
    "actions.actor": "an operator, not a user",
    "actions.subject": "a user appears there by pseudonym",
    "actions.reason": "an operator's words, redacted; never erased",
    "erasures.person": "a pseudonym",
    "failed_answers.tenant": "a tenant, not a user",
    "failed_answers.path": "the route's template",
    "failed_answers.code": "an error's code",
    "failed_answers.request_id": "of a request that no record and no user is known of",
    "failed_answers.key_id": "a key, not a user",
    "failed_answers.keys": "numbers by keys, not users",
    "failed_answers.message": "an error's words, which name a field, a model or a limit, redacted",
}
