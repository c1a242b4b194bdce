"""Stored eval runs of releases, with answers and results by case (E3, B3).

They lie beside the releases that they are about. The evals write them; the gate of an activation reads ``result``.
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
    MetaData,
    String,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.domain.personal import PersonalData

metadata = MetaData()

eval_runs = Table(
    "eval_runs",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("release", String(64), nullable=False, comment="the release that answered"),
    Column("label", Text, nullable=False, comment="what answered: the simulator, or real models"),
    Column("replay", Boolean, nullable=False, comment="whether it was a recording"),
    Column("code", Integer, nullable=False, comment="0 passed, 1 below or worse, 2 not judged"),
    Column("passed", Float, nullable=False),
    Column("total", Integer, nullable=False),
    Column("cost_micro_usd", BigInteger, nullable=False),
    Column("report", JSONB, nullable=False, comment="without its cases"),
    Column("manifest", String(64), nullable=True, comment="sha256 of the manifest that answered"),
    Column("result", JSONB, nullable=True, comment="what the gate of an activation reads"),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("eval_runs_release", "release", "at"),
    Index("eval_runs_manifest", "manifest"),
)

eval_results = Table(
    "eval_results",
    metadata,
    Column("run", BigInteger, ForeignKey("eval_runs.id", ondelete="CASCADE"), primary_key=True),
    Column("case", String(128), primary_key=True),
    Column("trial", Integer, primary_key=True),
    Column("failure_mode", String(64), nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("findings", JSONB, nullable=False, comment="redacted"),
    Column("broken", Text, nullable=True),
    Column("seconds", Float, nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("answer", Text, nullable=True, comment="redacted and cut; null: not kept"),
)

PERSONAL: tuple[PersonalData, ...] = ()
NOT_PERSONAL = {
    "eval_runs.label": "what answered",
    "eval_runs.report": "scores of cases that were written for the purpose",
    "eval_runs.result": "the same",
    "eval_results.case": "a case's name",
    "eval_results.findings": "what a scorer found in the answer to a made-up case, redacted",
    "eval_results.broken": "why a case could not be judged",
    "eval_results.request_id": "of a made-up case",
    "eval_results.answer": "to a made-up case, redacted",
}
