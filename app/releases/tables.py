"""Manifests as first activated, the files they pin, every activation since, and each worker's report.

The newest activation is what is live.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from app.domain.personal import PersonalData

metadata = MetaData()

manifests = Table(
    "manifests",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("text", Text, nullable=False, comment="the manifest as first activated"),
    Column("first_activated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

activations = Table(
    "activations",
    metadata,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("release", String(64), ForeignKey("manifests.id"), nullable=False),
    Column("previous", String(64), nullable=True),
    Column("kind", String(16), nullable=False, comment="activate or rollback"),
    Column("by", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("unproven", JSONB, nullable=True, comment="the eval results that it lacked; null: none"),
)

release_files = Table(
    "release_files",
    metadata,
    Column("key", String(128), primary_key=True, comment="the hash of a prompt or price table, or an index's version"),
    Column("sha256", String(64), nullable=False, comment="of the content"),
    Column("name", Text, nullable=False, comment="what the file was called where it was activated"),
    Column("content", LargeBinary, nullable=False),
    Column("kept_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

worker_reports = Table(
    "worker_reports",
    metadata,
    Column("worker", String(255), primary_key=True),
    Column("release", String(64), nullable=False, comment="what it serves; empty: nothing yet"),
    Column("refused", String(64), nullable=False, comment="the live release that it cannot load; empty: none"),
    Column("reason", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("code", Text, nullable=False, server_default="", comment="the code that it runs"),
    prefixes=["UNLOGGED"],  # written every two seconds by each worker, and worth nothing after a crash
)

code_versions = Table(
    "code_versions",
    metadata,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("code", Text, nullable=False, comment="an image by digest, a git commit, or the package's version"),
    Column("version", String(64), nullable=False, comment="the package's"),
    Column("place", Text, nullable=False, comment="the folder that it ran from"),
    Column("schema", ARRAY(String(64)), nullable=False, comment="the database's revisions then"),
    Column("kind", String(16), nullable=False, comment="start, of a worker, or rollback"),
    Column("by", String(255), nullable=False, comment="the worker, or the operator"),
    Column("reason", Text, nullable=False, server_default=""),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

canaries = Table(
    "canaries",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("release", String(64), ForeignKey("manifests.id"), nullable=False),
    Column("against", String(64), ForeignKey("manifests.id"), nullable=False, comment="what was live at its start"),
    Column("state", String(16), nullable=False, comment="running, stopped or promoted"),
    Column("shares", ARRAY(Float), nullable=False, comment="of the users, one for each step so far"),
    Column("tenants", ARRAY(String(64)), nullable=False, comment="that always get it, and are not judged"),
    Column("limits", JSONB, nullable=False, comment="the live release's p95 of latency and cost, by target"),
    Column("cap", BigInteger, nullable=False, comment="micro-dollars that the canary's calls may cost"),
    Column("spent", BigInteger, nullable=False, server_default="0"),
    Column("by", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("deadline", DateTime(timezone=True), nullable=False, comment="without a verdict then, an operator decides"),
    Column("ended_at", DateTime(timezone=True), nullable=True),
    Column("ended_by", String(128), nullable=True),
    Column("verdict", Text, nullable=True, comment="why it ended"),
    Column("evidence", JSONB, nullable=True, comment="the counts as they were then"),
    Column("unproven", JSONB, nullable=True, comment="the eval results that it lacked; null: none"),
    Column(
        "metrics",
        ARRAY(String(16)),
        nullable=False,
        comment="that judge it",
        server_default="{failed,slow,dear,refused,rated_bad}",
    ),
    Index("canaries_running", "state", unique=True, postgresql_where=text("state = 'running'")),
)

canary_users = Table(
    "canary_users",
    metadata,
    Column("canary", BigInteger, ForeignKey("canaries.id", ondelete="CASCADE"), primary_key=True),
    Column("metric", String(16), primary_key=True, comment="of a bad event, or `seen`"),
    Column("digest", String(32), primary_key=True, comment="a keyed hash of tenant and user"),
    Column("has_canary", Boolean, nullable=False),
    Column("step", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

shadows = Table(
    "shadows",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("release", String(64), ForeignKey("manifests.id"), nullable=False),
    Column("against", String(64), ForeignKey("manifests.id"), nullable=False, comment="what was live at its start"),
    Column("state", String(16), nullable=False, comment="running or stopped"),
    Column("share", Float, nullable=False, comment="of the calls"),
    Column("budget", BigInteger, nullable=False, comment="micro-dollars that its answers may cost"),
    Column("spent", BigInteger, nullable=False, server_default="0"),
    Column("by", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("until", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True), nullable=True),
    Column("ended_by", String(128), nullable=True),
    Column("why", Text, nullable=True, comment="why it ended"),
    Index("shadows_running", "state", unique=True, postgresql_where=text("state = 'running'")),
)

PERSONAL: tuple[PersonalData, ...] = ()
NOT_PERSONAL = {
    "manifests.text": "a release's manifest",
    "activations.by": "an operator, not a user",
    "canaries.by": "an operator, not a user",
    "shadows.by": "an operator, not a user",
    "shadows.ended_by": "an operator, or the service",
    "shadows.reason": "an operator's words",
    "shadows.why": "an operator's words, or the service's",
    "canaries.ended_by": "an operator, or the service",
    "canaries.reason": "an operator's words",
    "canaries.verdict": "metrics and figures, or an operator's words",
    "canaries.limits": "figures by model alias or prompt",
    "canaries.evidence": "counts by metric",
    "canaries.tenants": "tenants, not users",
    "canaries.unproven": "suites, models and thresholds",
    "canary_users.digest": "a hash under a key of the service and the canary: it names no one, and matches nothing else",
    "activations.reason": "an operator's words",
    "activations.unproven": "suites, models and thresholds",
    "release_files.key": "a hash, or an index's version",
    "release_files.name": "a file of a release",
    "release_files.content": "prompts, prices and help articles",
    "code_versions.code": "a version of the service",
    "code_versions.version": "a version of the service",
    "code_versions.place": "a folder of a machine",
    "code_versions.by": "a machine and a process, or an operator",
    "code_versions.reason": "an operator's words",
    "worker_reports.code": "a version of the service",
    "worker_reports.worker": "a machine and a process",
    "worker_reports.reason": "why a manifest cannot be loaded: files, keys and names of providers",
}
