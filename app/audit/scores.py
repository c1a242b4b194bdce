"""Tables of the online evals: scores, candidates for cases, the evals' position, and drift of quality (E9).

They lie beside the records that they come from and are kept as long. The evals write them, and
operators mark calls; the service never scores anything.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from app.domain.personal import PersonalData

metadata = MetaData()

eval_scores = Table(
    "eval_scores",
    metadata,
    Column("call_id", String(64), primary_key=True, comment="the last pass of the request"),
    Column("at", DateTime(timezone=True), nullable=False, comment="of that call"),
    Column("tenant", String(64), nullable=False),
    Column("user", Text, nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("feature", String(64), nullable=False),
    Column("release", String(64), nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("findings", JSONB, nullable=False, comment="scorer and words, from redacted text"),
    Column("fair", Boolean, nullable=False, comment="whether its sample took no regard of the release", server_default="false"),
    Index("eval_scores_at", "at"),
    Index("eval_scores_user", "user", "tenant"),
)

eval_candidates = Table(
    "eval_candidates",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("digest", String(32), nullable=False, unique=True, comment="of the question as it is compared"),
    Column("at", DateTime(timezone=True), nullable=False, comment="of the call it was last seen in"),
    Column("tenant", String(64), nullable=False),
    Column("user", Text, nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("feature", String(64), nullable=False),
    Column("release", String(64), nullable=False),
    Column("reasons", ARRAY(String(32)), nullable=False, comment="low_score, user_feedback, guard_flag, hand_over"),
    Column("times", Integer, nullable=False, comment="requests it was seen in"),
    Column("asked", JSONB, nullable=False, comment="what was asked, redacted"),
    Column("seen", JSONB, nullable=False, comment="what came of it, redacted"),
    Column("state", String(16), nullable=False, server_default="new", comment="new, promoted or dismissed"),
    Column("case", String(128), nullable=True, comment="that it was promoted to"),
    Column("why", Text, nullable=True, comment="it was dismissed"),
    Column("decided_at", DateTime(timezone=True), nullable=True),
    Column("found_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("eval_candidates_state", "state", "at"),
    Index("eval_candidates_user", "user", "tenant"),
)

eval_marks = Table(
    "eval_marks",
    metadata,
    Column("call_id", String(64), primary_key=True, comment="the call that an operator marked"),
    Column("at", DateTime(timezone=True), nullable=False, comment="of the call"),
    Column("tenant", String(64), nullable=False),
    Column("user", Text, nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("note", Text, nullable=False, comment="the operator's reason, redacted"),
    Column("marked_at", DateTime(timezone=True), nullable=False),
    Column("read_at", DateTime(timezone=True), nullable=True, comment="when a round took it up"),
    Column("candidate", BigInteger, nullable=True, comment="that it became; null: no suite could read the call"),
    Index("eval_marks_at", "at"),
    Index("eval_marks_user", "user", "tenant"),
)

eval_position = Table(
    "eval_position",
    metadata,
    Column("one", Boolean, primary_key=True, comment="true: there is one row"),
    Column("until", DateTime(timezone=True), nullable=False, comment="calls that began up to here are done with"),
    Column("looked_at", DateTime(timezone=True), nullable=False, comment="when the last round ended"),
    Column("scored_at", DateTime(timezone=True), nullable=False, comment="when the last round ended"),
)

eval_drift = Table(
    "eval_drift",
    metadata,
    Column("feature", String(64), primary_key=True),
    Column("seen", BigInteger, nullable=False, comment="scores since the test began anew"),
    Column("mean", Float, nullable=False, comment="share of them that failed"),
    Column("sum", Float, nullable=False, comment="Page-Hinkley's cumulated deviation"),
    Column("least", Float, nullable=False, comment="the least that it was"),
    Column("drifted_at", DateTime(timezone=True), nullable=True, comment="when it last found a change for the worse"),
)

PERSONAL = (
    PersonalData(table="eval_scores", columns=("user", "request_id", "findings")),
    PersonalData(table="eval_candidates", columns=("user", "request_id", "asked", "seen"), hidden=("digest",)),
    PersonalData(table="eval_marks", columns=("user", "request_id", "note")),
)
NOT_PERSONAL = {"eval_candidates.case": "a case's name", "eval_candidates.why": "an operator's words, redacted"}
