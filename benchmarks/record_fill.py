"""Millions of records in a moment: made by Postgres itself, over days, with values as rare and as frequent as a service has them.

Texts are short (about 210 bytes of request, 130 of response; a real one with passages has kilobytes) so that ten million are made
in minutes: it is the number of rows, of words and of values that a search feels. Attempts are made for the newest day alone.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine, create_engine, text

from app.audit.tables import calls

DAYS = 30
SENTENCES, VOCABULARY, WORDS = 20_000, 20_000, 8
Report = Callable[[str], None]

SETTINGS = {  # a Postgres for this many rows, not the wheel's for a laptop's; durability plays no part in reading
    "shared_buffers": "2GB", "effective_cache_size": "8GB", "work_mem": "32MB", "maintenance_work_mem": "1GB",
    "random_page_cost": "1.1", "max_wal_size": "8GB", "fsync": "off", "full_page_writes": "off", "autovacuum": "off",
}  # fmt: skip

POOL = f"""
CREATE UNLOGGED TABLE pool AS
SELECT n AS id, string_agg(
    (ARRAY['ka','lo','mi','ne','ru','sa','to','vi','ze','wo'])[1 + w / 2000] ||
    (ARRAY['bor','cal','den','fir','gum','hol','jin','kel','lam','mor'])[1 + (w / 200) % 10] ||
    (ARRAY['a','en','is','on','ur','el','ot','im','ad','ex'])[1 + (w / 20) % 10] || (w % 20)::text, ' ') AS words
FROM (SELECT n, ({VOCABULARY} * power(random(), 3))::int % {VOCABULARY} AS w
      FROM generate_series(0, {SENTENCES - 1}) AS n, generate_series(1, {WORDS})) AS drawn
GROUP BY n
"""  # noqa: S608 - our own numbers

# A share is that of all calls. `rare` is drawn once a row, so that rare things do not come together.
ROWS = """
INSERT INTO {child}
SELECT
    'call_' || md5(:day || 'c' || n), 'req_' || md5(:day || 'r' || n),
    CAST(:day AS timestamptz) + n * interval '1 day' / :rows,
    md5(:day || 't' || n), 'tenant-' || tenant, 'user-' || floor(500000 * power(random(), 2)),
    'key' || lpad(tenant::text, 4, '0'),
    feature, CASE WHEN feature LIKE 'chat%' THEN 'smart' ELSE replace(feature, '.', '/') END,
    CASE WHEN rare < 0.0005 THEN 'canary' ELSE 'r-' || :age / 6 END,
    CASE WHEN feature LIKE 'chat%' THEN NULL ELSE replace(feature, '.', '/') END,
    CASE WHEN feature LIKE 'chat%' THEN NULL WHEN rare < 0.0005 THEN 'v9' ELSE 'v' || 1 + :age / 10 END,
    provider, provider || '-large', provider || '-large-2026-10-01', streams,
    outcome, CASE WHEN outcome <> 'ok' THEN 'It did not end well.' END,
    latency, CASE WHEN streams THEN latency * 0.3 END, exp(1 + 0.5 * random_normal()),
    tokens_in, tokens_out, CASE WHEN random() < 0.3 THEN tokens_in / 2 ELSE 0 END, CASE WHEN random() < 0.02 THEN 500 ELSE 0 END,
    CASE WHEN random() < 0.1 THEN tokens_out / 2 ELSE 0 END, outcome = 'provider_timeout',
    CASE WHEN outcome = 'ok' THEN tokens_in / 4 + tokens_out * 2 ELSE 0 END, tokens_in + 8000,
    CASE WHEN random() < 0.97 THEN 0 WHEN random() < 0.9 THEN 1 ELSE 2 END,
    CASE WHEN rare > 0.99999 THEN ARRAY['last_resort'] WHEN random() < 0.01 THEN ARRAY['cheaper_model'] ELSE ARRAY[]::text[] END,
    '{{"system": ["You help the customers of an outdoor shop."], "messages": [{{"role": "user", "parts": [{{"text": "'
        || 'Where is NW-' || :age * 1000000 + n || '? ' || asked.words || CASE WHEN random() < 0.2 THEN ' refund' ELSE '' END
        || CASE WHEN random() < 0.02 THEN ' tent' ELSE '' END || CASE WHEN random() < 0.002 THEN ' arrived torn' ELSE '' END
        || CASE WHEN rare BETWEEN 0.5 AND 0.500001 THEN ' zyzzyva' ELSE '' END || '"}}]}}]}}',
    '{{"parts": [{{"text": "It is on its way. ' || answered.words || '"}}], "stop": "end"}}'
FROM (
    SELECT n, rare, floor(200 * power(random(), 3))::int AS tenant, random() < 0.4 AS streams,
        exp(6.8 + 0.7 * random_normal()) AS latency, exp(7 + 0.8 * random_normal())::int AS tokens_in,
        exp(5 + 0.7 * random_normal())::int AS tokens_out,
        CASE WHEN f < 0.6 THEN 'shop.answer' WHEN f < 0.85 THEN 'shop.tickets' WHEN f < 0.99 THEN 'chat.openai'
            WHEN f < 0.9999 THEN 'chat.anthropic' ELSE 'shop.translate' END AS feature,
        CASE WHEN p < 0.7 THEN 'anthropic' WHEN p < 0.99 THEN 'openai' WHEN p < 0.9999 THEN 'groq' ELSE 'backup' END AS provider,
        CASE WHEN o < 0.97 THEN 'ok' WHEN o < 0.98 THEN 'provider_timeout' WHEN o < 0.99 THEN 'budget_exceeded'
            WHEN o < 0.997 THEN 'rate_limited' WHEN o < 0.99999 THEN 'invalid_output' ELSE 'internal' END AS outcome
    FROM (
        SELECT n, random() AS rare, random() AS f, random() AS p, random() AS o FROM generate_series(0, :rows - 1) AS n
    ) AS drawn
) AS drawn
JOIN pool AS asked ON asked.id = n % :sentences
JOIN pool AS answered ON answered.id = (n * 7 + 13) % :sentences
"""

ATTEMPTS = """
INSERT INTO {child}
SELECT id, 1, at, provider, model, model_answered, outcome, error, 1.5, latency_ms, ttft_ms, input_tokens, output_tokens,
    cached_input_tokens, cache_write_tokens, reasoning_tokens, usage_estimated, cost, 'id_' || substr(id, 6)
FROM {calls}
"""


def configure(url: str) -> None:
    """Give the server `SETTINGS`; it takes them when it starts the next time."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for name, value in SETTINGS.items():
            connection.execute(text(f"ALTER SYSTEM SET {name} = '{value}'"))
    engine.dispose()


def fill(engine: Engine, rows: int, report: Report) -> None:
    """Make ``rows`` calls, each with an attempt, over `DAYS` whole days up to yesterday, then their indexes and statistics."""
    with engine.begin() as connection:
        for index in calls.indexes:
            connection.execute(text(f'DROP INDEX "{index.name}"'))
        connection.execute(text("SELECT setseed(0.5)"))
        connection.execute(text(POOL))
        connection.execute(text("ALTER TABLE pool ADD PRIMARY KEY (id)"))
        connection.execute(text("ANALYZE pool"))
    began = time.monotonic()
    for age, day in enumerate(_days()):
        with engine.begin() as connection:
            _fill_day(connection, age, f"{day:%Y-%m-%d} 00:00+00", f"{day:%Y%m%d}", rows // DAYS)
        report(f"day {age + 1} of {DAYS}, {time.monotonic() - began:.0f} s")
    for index in sorted(calls.indexes, key=lambda i: str(i.name)):
        with engine.begin() as connection:
            index.create(connection)
        report(f"{index.name}, {time.monotonic() - began:.0f} s")
    analyze(engine)
    report(f"statistics, {time.monotonic() - began:.0f} s")


def analyze(engine: Engine) -> None:
    """Vacuum and analyse, as autovacuum does later."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE) calls"))
        connection.execute(text("VACUUM (ANALYZE) attempts"))


def _fill_day(connection: Connection, age: int, day: str, suffix: str, rows: int) -> None:
    connection.execute(text("SELECT records_partition(CAST(:day AS date))"), {"day": day[:10]})
    parameters = {"day": day, "age": age, "rows": rows, "sentences": SENTENCES}
    connection.execute(text(ROWS.format(child=f"calls_{suffix}").replace('": ', r'"\: ')), parameters)
    if age == 0:
        connection.execute(text(ATTEMPTS.format(child=f"attempts_{suffix}", calls=f"calls_{suffix}")))


def _days() -> Iterator[datetime]:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (today - timedelta(days=age) for age in range(1, DAYS + 1))
