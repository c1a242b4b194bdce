"""The kill switch's memory in Postgres, the results of its self-tests, outages of stores, and the triggers of a rollback."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Float, Identity, Index, Integer, MetaData, String, Table, Text, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from app.domain.personal import PersonalData

metadata = MetaData()

stops = Table(
    "stops",
    metadata,
    Column("scope", String(16), primary_key=True),
    Column("name", String(128), primary_key=True, comment="empty for everything"),
    Column("stopped", Boolean, nullable=False, comment="false: released"),
    Column("in_flight", Boolean, nullable=False, comment="calls under way are ended, too"),
    Column("by", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("version", BigInteger, nullable=False, comment="the highest wins where two memories differ"),
    Column("message", String(200), nullable=False, server_default="", comment="what callers read besides"),
)

switch_sightings = Table(
    "switch_sightings",
    metadata,
    Column("worker", String(255), primary_key=True),
    Column("version", BigInteger, nullable=False, comment="of the newest flip of the self-test that it has seen"),
    Column("at", DateTime(timezone=True), nullable=False, comment="by Postgres' clock"),
    prefixes=["UNLOGGED"],  # worth nothing after a crash
)

switch_tests = Table(
    "switch_tests",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("by", String(128), nullable=False, comment="an operator, or octant for the daily one"),
    Column("passed", Boolean, nullable=True, comment="null: it runs, or its worker died"),
    Column("flips", Integer, nullable=False, server_default="0"),
    Column("workers", Integer, nullable=False, server_default="0"),
    Column("p50", Float, nullable=True, comment="seconds from a flip until a worker has seen it"),
    Column("p99", Float, nullable=True),
    Column("slowest", Float, nullable=True),
    Column("missing", ARRAY(String(255)), nullable=False, server_default="{}", comment="workers that did not see a flip"),
    Column("problem", Text, nullable=False, server_default="", comment="why it failed"),
)

store_outages = Table(
    "store_outages",
    metadata,
    Column("store", String(16), primary_key=True, comment="Postgres or Valkey"),
    Column("worker", String(255), primary_key=True, comment="that could not read it"),
    Column("began", DateTime(timezone=True), primary_key=True),
    Column("seen", DateTime(timezone=True), nullable=False, comment="when it was read the last time"),
    Column("over", Boolean, nullable=False, comment="it answered then; false: it is still away, or the worker has ended"),
    Index("store_outages_seen", "seen"),
)

triggers = Table(
    "triggers",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("kind", String(16), nullable=False, comment="eval_drift, cost_drift or escalation"),
    Column("subject", String(128), nullable=False, comment="a feature; of an escalation, a tenant"),
    Column("key", String(160), nullable=False, unique=True, comment="one finding is stored once"),
    Column("text", Text, nullable=False, comment="what was found, or what the customer says, redacted"),
    Column("by", String(128), nullable=False, comment="an operator, or octant"),
    Column("release", String(64), nullable=False, comment="what was live then; empty: nothing"),
    Column("command", Text, nullable=False, comment="the rollback to run; empty where there is no way back"),
    Column("evidence", JSONB, nullable=False, comment="figures and ids of records, no texts of calls"),
)

PERSONAL: tuple[PersonalData, ...] = ()
NOT_PERSONAL = {
    "stops.scope": "all, provider, model, prompt, feature, tool, tenant or user",
    "stops.name": "of a provider, a model, a prompt, a feature, a tool or a tenant; of a user the pseudonym, which stays",
    "stops.by": "an operator, not a user",
    "stops.reason": "an operator's words",
    "stops.message": "an operator's words to callers, redacted",
    "switch_sightings.worker": "a machine and a process",
    "switch_tests.by": "an operator, not a user",
    "switch_tests.missing": "machines and processes",
    "switch_tests.problem": "names of workers and stores",
    "store_outages.store": "Postgres or Valkey",
    "store_outages.worker": "a machine and a process",
    "triggers.subject": "a feature, or a tenant",
    "triggers.key": "a kind, a subject and a time",
    "triggers.text": "redacted before it is stored",
    "triggers.by": "an operator, not a user",
    "triggers.command": "a command with the ids of releases",
    "triggers.evidence": "figures, and ids of records, which are erased themselves",
}
