"""Records by day: what is too old goes by dropping a table, and its disk comes back (O8, ADR 0018)."""

import sqlalchemy as sa
from alembic import op

revision = "0008_partitions"
down_revision = "0007_budget"
branch_labels = None
depends_on = None

USAGE = """
    input_tokens integer NOT NULL,
    output_tokens integer NOT NULL,
    cached_input_tokens integer NOT NULL,
    cache_write_tokens integer NOT NULL,
    reasoning_tokens integer NOT NULL,
    usage_estimated boolean NOT NULL,
    cost bigint NOT NULL,
"""

CALLS = f"""
CREATE TABLE calls (
    id varchar(64) NOT NULL,
    request_id varchar(128) NOT NULL,
    at timestamptz NOT NULL,
    trace_id varchar(32) NOT NULL,
    tenant varchar(64) NOT NULL,
    "user" text NOT NULL,
    key_id varchar(16) NOT NULL,
    feature varchar(64) NOT NULL,
    target text NOT NULL,
    release varchar(64) NOT NULL,
    prompt varchar(128),
    prompt_version varchar(32),
    provider varchar(64),
    model text,
    model_answered text,
    stream boolean NOT NULL,
    outcome varchar(64) NOT NULL,
    error text,
    latency_ms double precision NOT NULL,
    ttft_ms double precision,
    overhead_ms double precision NOT NULL,
    {USAGE}
    held bigint NOT NULL,
    fallbacks integer NOT NULL,
    degraded varchar(64)[] NOT NULL,
    request text NOT NULL,
    response text NOT NULL,
    {{key}}
) {{partitioned}}
"""

ATTEMPTS = f"""
CREATE TABLE attempts (
    call_id varchar(64) NOT NULL,
    number integer NOT NULL,
    {{at}}
    provider varchar(64) NOT NULL,
    model text NOT NULL,
    model_answered text,
    outcome varchar(64) NOT NULL,
    error text,
    started_ms double precision NOT NULL,
    latency_ms double precision NOT NULL,
    ttft_ms double precision,
    {USAGE}
    provider_request_id text,
    {{key}}
) {{partitioned}}
"""

SEARCH_VECTOR = (
    r"""to_tsvector('simple'::regconfig, translate(replace(("left"(request, 50000) || ' '::text) || "left"(response, 50000),"""
    r""" '\n'::text, ' '::text), '<>'::text, '  '::text))"""
)
FACETS = (
    "(degraded::text[] || ARRAY['feature='::text || feature::text, 'target='::text || target, 'release='::text || release::text,"
    " 'prompt='::text || COALESCE(prompt, ''::character varying)::text,"
    " 'prompt_version='::text || COALESCE(prompt_version, ''::character varying)::text,"
    " 'provider='::text || COALESCE(provider, ''::character varying)::text,"
    " 'model='::text || COALESCE(model, ''::text), 'model_answered='::text || COALESCE(model_answered, ''::text),"
    " 'outcome='::text || outcome::text, 'key_id='::text || key_id::text])"
)

# ATTACH takes a weaker lock than CREATE TABLE … PARTITION OF: calls go on being written and read beside it.
PARTITION = """
CREATE FUNCTION records_partition(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    child text;
BEGIN
    PERFORM pg_advisory_xact_lock(3199, 1);
    FOREACH parent IN ARRAY ARRAY['calls', 'attempts'] LOOP
        child := parent || to_char(day, '_YYYYMMDD');
        IF to_regclass(child) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', child, parent);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child,
                day::text || ' 00:00+00', (day + 1)::text || ' 00:00+00');
        END IF;
    END LOOP;
END $$
"""


def upgrade() -> None:
    for name in ("calls_at", "calls_failed_at", "calls_request", "calls_search", "calls_tenant_at", "calls_tenant_user_at"):
        op.drop_index(name, table_name="calls")
    op.drop_index("calls_trace", table_name="calls")
    for name in ("calls", "attempts"):
        op.rename_table(name, f"{name}_before")
        op.execute(f'ALTER INDEX "{name}_pkey" RENAME TO "{name}_before_pkey"')
    by_day = "PARTITION BY RANGE (at)"
    op.execute(CALLS.format(key="PRIMARY KEY (id, at)", partitioned=by_day))
    op.execute(ATTEMPTS.format(at="at timestamptz NOT NULL,", key="PRIMARY KEY (call_id, number, at)", partitioned=by_day))
    for table in ("calls", "attempts"):
        op.execute(f"COMMENT ON COLUMN {table}.cost IS 'micro-dollars'")
    op.execute("COMMENT ON COLUMN calls.held IS 'micro-dollars'")
    op.execute("COMMENT ON COLUMN attempts.at IS 'of the call: both lie in the same day'")
    for name, columns in {
        "calls_at": ["at"],
        "calls_request": ["request_id"],
        "calls_trace": ["trace_id"],
        "calls_tenant_user_at": ["tenant", "user", "at"],
        "calls_tenant_at": ["tenant", "at"],
        "calls_latency": ["latency_ms"],
        "calls_cost": ["cost"],
    }.items():
        op.create_index(name, "calls", columns)
    op.create_index("calls_failed_at", "calls", ["at"], postgresql_where=sa.text("(outcome)::text <> 'ok'::text"))
    op.create_index("calls_search", "calls", [sa.text(SEARCH_VECTOR)], postgresql_using="gin")
    op.create_index("calls_facets", "calls", [sa.text(FACETS)], postgresql_using="gin")
    op.execute(PARTITION)
    op.execute("SELECT records_partition(d) FROM (SELECT DISTINCT (at AT TIME ZONE 'UTC')::date AS d FROM calls_before) AS days")
    op.execute("INSERT INTO calls SELECT * FROM calls_before")
    op.execute(
        "INSERT INTO attempts SELECT a.call_id, a.number, c.at, a.provider, a.model, a.model_answered, a.outcome, a.error,"
        " a.started_ms, a.latency_ms, a.ttft_ms, a.input_tokens, a.output_tokens, a.cached_input_tokens, a.cache_write_tokens,"
        " a.reasoning_tokens, a.usage_estimated, a.cost, a.provider_request_id"
        " FROM attempts_before AS a JOIN calls_before AS c ON c.id = a.call_id"
    )
    op.drop_table("attempts_before")
    op.drop_table("calls_before")


def downgrade() -> None:
    """Back to one table each; the records stay."""
    for name in ("calls_at", "calls_request", "calls_trace", "calls_tenant_user_at", "calls_tenant_at", "calls_failed_at"):
        op.drop_index(name, table_name="calls")
    op.drop_index("calls_search", table_name="calls")
    for name in ("calls", "attempts"):
        op.rename_table(name, f"{name}_by_day")
        op.execute(f'ALTER INDEX "{name}_pkey" RENAME TO "{name}_by_day_pkey"')
    op.execute(CALLS.format(key="CONSTRAINT calls_pkey PRIMARY KEY (id)", partitioned=""))
    foreign = "CONSTRAINT attempts_call_id_fkey FOREIGN KEY (call_id) REFERENCES calls (id) ON DELETE CASCADE"
    key = f"CONSTRAINT attempts_pkey PRIMARY KEY (call_id, number), {foreign}"
    op.execute(ATTEMPTS.format(at="", key=key, partitioned=""))
    op.execute("INSERT INTO calls SELECT * FROM calls_by_day")
    op.execute(
        "INSERT INTO attempts SELECT call_id, number, provider, model, model_answered, outcome, error, started_ms, latency_ms,"
        " ttft_ms, input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens, usage_estimated, cost,"
        " provider_request_id FROM attempts_by_day"
    )
    op.drop_table("attempts_by_day")
    op.drop_table("calls_by_day")
    op.execute("DROP FUNCTION records_partition(date)")
    for name, columns in {
        "calls_at": ["at"],
        "calls_request": ["request_id"],
        "calls_trace": ["trace_id"],
        "calls_tenant_user_at": ["tenant", "user", "at"],
        "calls_tenant_at": ["tenant", "at"],
    }.items():
        op.create_index(name, "calls", columns)
    op.create_index("calls_failed_at", "calls", ["outcome", "at"], postgresql_where=sa.text("(outcome)::text <> 'ok'::text"))
    op.create_index("calls_search", "calls", [sa.text(SEARCH_VECTOR)], postgresql_using="gin")
