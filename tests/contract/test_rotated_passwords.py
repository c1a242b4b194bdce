"""A store's password that is rotated while the service runs: its secret file is read at each new connection."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from redis import Redis
from redis.exceptions import AuthenticationError
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError

from app.settings import Settings, load
from app.stack.embedded import embedded_postgres, embedded_valkey
from app.stores import build_engine, build_valkey

FIRST, SECOND = "the first / one", "the?next@one%"


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that wants the role's password."""
    folder = tmp_path_factory.mktemp("postgres")
    with embedded_postgres(folder) as url:
        rules = next(folder.rglob("pg_hba.conf"))
        rules.write_text(f"local all rotated scram-sha-256\n{rules.read_text()}")
        give_postgres(url, FIRST, "CREATE")
        yield make_url(url).set(username="rotated").render_as_string()


def give_postgres(url: str, password: str, change: str = "ALTER") -> None:
    address = make_url(url)
    with psycopg.connect(host=str(address.query["host"]), user="postgres", dbname="octant", autocommit=True) as connection:
        connection.execute(psycopg.sql.SQL("{} ROLE rotated LOGIN PASSWORD {}").format(psycopg.sql.SQL(change), password))
        connection.execute("SELECT pg_reload_conf()")


def with_password(url: str, password: str) -> str:
    return make_url(url).set(password=password).render_as_string(hide_password=False) + "\n"


@pytest.fixture
def valkey() -> Iterator[str]:
    with embedded_valkey(None) as url:
        yield url.replace("//", "//rotated@")


def give_valkey(url: str, *rules: str) -> None:
    with Redis.from_url(url.replace("rotated@", "")) as client:
        client.execute_command("ACL", "SETUSER", "rotated", "on", "~*", "&*", "+@all", *rules)
        client.execute_command("CLIENT", "KILL", "USER", "rotated")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: str, valkey: str) -> Settings:
    """The stores are named in files, as an orchestrator mounts them."""
    monkeypatch.setenv("OCTANT_SECRETS_DIR", str(tmp_path))
    (tmp_path / "octant_database_url").write_text(with_password(postgres, FIRST))
    (tmp_path / "octant_valkey_url").write_text(valkey.replace("@", f":{quote(FIRST, safe='')}@"))
    return load()


async def test_a_new_password_of_postgres_needs_no_restart(settings: Settings, tmp_path: Path, postgres: str) -> None:
    engine = build_engine(settings)
    try:
        async with engine.connect() as held:
            assert (await held.execute(text("SELECT 1"))).scalar_one() == 1
            give_postgres(postgres, SECOND)
            with pytest.raises(OperationalError, match="password authentication failed"):
                await engine.connect()
            (tmp_path / "octant_database_url").write_text(with_password(postgres, SECOND))
            async with engine.connect() as another:
                assert (await another.execute(text("SELECT current_user"))).scalar_one() == "rotated"
            assert (await held.execute(text("SELECT 1"))).scalar_one() == 1
    finally:
        await engine.dispose()
        give_postgres(postgres, FIRST)


async def test_a_new_password_of_valkey_needs_no_restart(settings: Settings, tmp_path: Path, valkey: str) -> None:
    give_valkey(valkey, f">{FIRST}")
    client = build_valkey(settings)
    assert await client.ping()
    give_valkey(valkey, "resetpass", f">{SECOND}")
    with pytest.raises(AuthenticationError):
        await client.ping()
    (tmp_path / "octant_valkey_url").write_text(valkey.replace("@", f":{quote(SECOND, safe='')}@"))
    assert await client.ping()
    (tmp_path / "octant_valkey_url").write_text("half a rotat")
    give_valkey(valkey)
    assert await client.ping(), "a file in the middle of its next rotation changes nothing"
    await client.aclose()


@pytest.mark.parametrize("text", ["", "half a rotat", "mysql://host/db"])
def test_a_file_that_cannot_be_used_changes_nothing(settings: Settings, tmp_path: Path, text: str) -> None:
    (tmp_path / "octant_database_url").write_text(text)
    (tmp_path / "octant_valkey_url").unlink()
    assert settings.address_now("database_url") == settings.database_url
    assert settings.address_now("valkey_url") == settings.valkey_url


def test_a_variable_goes_before_the_file(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, postgres: str
) -> None:
    monkeypatch.setenv("OCTANT_DATABASE_URL", postgres)
    loaded = load()
    (tmp_path / "octant_database_url").write_text(with_password(postgres, SECOND))
    assert loaded.address_now("database_url") == loaded.database_url == postgres
    assert settings.address_now("database_url") != postgres
