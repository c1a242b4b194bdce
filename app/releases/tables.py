"""Manifests as first activated, the files they pin, every activation since, and each worker's report.

The newest activation is what is live.
"""

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Identity, LargeBinary, MetaData, String, Table, Text, func

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
    prefixes=["UNLOGGED"],  # written every two seconds by each worker, and worth nothing after a crash
)

PERSONAL: tuple[PersonalData, ...] = ()
NOT_PERSONAL = {
    "manifests.text": "a release's manifest",
    "activations.by": "an operator, not a user",
    "activations.reason": "an operator's words",
    "release_files.name": "a file of a release",
    "worker_reports.worker": "a machine and a process",
    "worker_reports.reason": "why a manifest cannot be loaded: files, keys and names of providers",
}
