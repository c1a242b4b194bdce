"""Every room's and every product's tables, as the code has them; a test holds them against the migrated schema."""

from sqlalchemy import MetaData

from app.api.feedback import tables as feedback
from app.audit import scores, shadow_answers
from app.audit import tables as audit
from app.budget import tables as budget
from app.console import tables as console
from app.features.feature import Tables
from app.features.installed import installed
from app.idempotency import tables as idempotency
from app.jobs import tables as jobs
from app.oncall import tables as oncall
from app.oncall.incidents import tables as incidents
from app.oncall.paging import tables as paging
from app.oncall.rota import tables as rota
from app.releases import evaluations
from app.releases import tables as releases
from app.security import tables as security

_OWN: tuple[Tables, ...] = (
    security,
    audit,
    oncall,
    rota,
    paging,
    incidents,
    releases,
    evaluations,
    budget,
    idempotency,
    jobs,
    feedback,
    scores,
    shadow_answers,
    console,
)
ROOMS: tuple[Tables, ...] = (*_OWN, *(feature.tables() for feature in installed() if feature.tables))
METADATA: list[MetaData] = [room.metadata for room in ROOMS]
