"""Every room's tables, as the code has them; a test holds them against the migrated schema."""

from sqlalchemy import MetaData

from app.api.feedback import tables as feedback
from app.audit import scores
from app.audit import tables as audit
from app.budget import tables as budget
from app.features.support import tables as support
from app.idempotency import tables as idempotency
from app.jobs import tables as jobs
from app.oncall import tables as oncall
from app.releases import evaluations
from app.releases import tables as releases
from app.security import tables as security

ROOMS = (security, audit, oncall, releases, evaluations, budget, idempotency, jobs, feedback, support, scores)
METADATA: list[MetaData] = [room.metadata for room in ROOMS]
