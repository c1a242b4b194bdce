"""Records are found by every figure, in every order: magnitudes among the facets, sorts that go on behind equal values.

On tables that hold records already this builds five indexes anew, a day's partition at a time; calls are served meanwhile, but
their records wait (in the queue, then on disk) until it is done.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010_found"
down_revision = "0009_job_traces"
branch_labels = None
depends_on = None

BEFORE = (
    "(degraded::text[] || ARRAY['feature='::text || feature::text, 'target='::text || target, 'release='::text || release::text,"
    " 'prompt='::text || COALESCE(prompt, ''::character varying)::text,"
    " 'prompt_version='::text || COALESCE(prompt_version, ''::character varying)::text,"
    " 'provider='::text || COALESCE(provider, ''::character varying)::text,"
    " 'model='::text || COALESCE(model, ''::text), 'model_answered='::text || COALESCE(model_answered, ''::text),"
    " 'outcome='::text || outcome::text, 'key_id='::text || key_id::text])"
)
STEPS = "'{1,2,5,10,20,50,100,200,500,1000,2000,5000,10000,20000,50000,100000,200000,500000,1000000,10000000,100000000}'"
NUMBER = "::double precision"
FIELDS = {
    "latency_ms": "", "ttft_ms": "", "overhead_ms": "", "cost": NUMBER, "held": NUMBER, "fallbacks": NUMBER,
    "input_tokens": NUMBER, "output_tokens": NUMBER, "cached_input_tokens": NUMBER, "cache_write_tokens": NUMBER,
    "reasoning_tokens": NUMBER,
}  # fmt: skip
FACETS = BEFORE[:-2] + "".join(
    f", '{name}~'::text || width_bucket({name}{cast}, {STEPS}::double precision[])::text" for name, cast in FIELDS.items()
) + "])"  # fmt: skip


def upgrade() -> None:
    for name in ("calls_facets", "calls_latency", "calls_cost", "calls_tenant_user_at"):
        op.drop_index(name, table_name="calls")
    op.create_index("calls_latency", "calls", ["latency_ms", "at"])
    op.create_index("calls_cost", "calls", ["cost", "at"])
    op.create_index("calls_user", "calls", ["user", "tenant", "at"])
    op.create_index("calls_facets", "calls", [sa.text(FACETS)], postgresql_using="gin")


def downgrade() -> None:
    for name in ("calls_facets", "calls_latency", "calls_cost", "calls_user"):
        op.drop_index(name, table_name="calls")
    op.create_index("calls_latency", "calls", ["latency_ms"])
    op.create_index("calls_cost", "calls", ["cost"])
    op.create_index("calls_tenant_user_at", "calls", ["tenant", "user", "at"])
    op.create_index("calls_facets", "calls", [sa.text(BEFORE)], postgresql_using="gin")
