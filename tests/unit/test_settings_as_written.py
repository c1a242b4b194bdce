"""Settings as shells, compose, `docker run` and Windows hand them over, and what is said of those that cannot be meant."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.domain.errors import Misconfigured
from app.settings import load, unknown_variables


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without .env."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("variable", "written", "field", "meant"),
    [
        ("DATABASE_URL", "postgres://a:b@h/d", "database_url", "postgresql+psycopg://a:b@h/d"),  # Heroku's
        (
            "DATABASE_URL",
            '"postgresql://a:b@h/d?sslmode=require"',
            "database_url",
            "postgresql+psycopg://a:b@h/d?sslmode=require",
        ),
        ("DATABASE_URL", "postgresql+psycopg://a@/d?host=%2Fs\r", "database_url", "postgresql+psycopg://a@/d?host=%2Fs"),
        ("DATABASE_URL", "postgresql://a:p%40%2F@[::1]:5432/d", "database_url", "postgresql+psycopg://a:p%40%2F@[::1]:5432/d"),
        ("VALKEY_URL", "valkeys://u:p@h:6380\n", "valkey_url", "rediss://u:p@h:6380"),
        ("VALKEY_URL", " 'unix:///run/valkey.sock?db=1' ", "valkey_url", "unix:///run/valkey.sock?db=1"),
        ("WORKERS", '"3"', "workers", 3),
        ("WORKERS", "", "workers", 2),
        ("HOST", "", "host", "127.0.0.1"),  # and not every address
        ("STATE_DIR", " ", "state_dir", Path(".octant")),
        ("SECRETS_DIR", "", "secrets_dir", None),
        ("OTLP_ENDPOINT", "", "otlp_endpoint", ""),
        ("WEBHOOK_ALLOWED_HOSTS", "", "webhook_allowed_hosts", frozenset()),
        ("STOPPED", "all\r", "stopped", "all"),
    ],
)
def test_a_setting_means_what_its_writer_means(
    monkeypatch: pytest.MonkeyPatch, variable: str, written: str, field: str, meant: object
) -> None:
    monkeypatch.setenv(f"OCTANT_{variable}", written)
    assert getattr(load(), field) == meant


# abartrim/sobs#435, actualbudget/actual#4920: a Service named as the program stops it, and each of its pods restarts for ever.
def test_what_kubernetes_says_of_a_service_of_our_name_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "10.96.0.7"
    links = {
        "PORT": f"tcp://{address}:80",
        "METRICS_PORT": f"tcp://{address}:9464",  # of a Service named octant-metrics
        "SERVICE_HOST": address,
        "SERVICE_PORT": "80",
        "SERVICE_PORT_HTTP": "80",
        "METRICS_SERVICE_HOST": address,
        "PORT_80_TCP": f"tcp://{address}:80",
        "PORT_80_TCP_PROTO": "tcp",
        "PORT_80_TCP_PORT": "80",
        "PORT_80_TCP_ADDR": address,
    }
    for name, value in links.items():
        monkeypatch.setenv(f"OCTANT_{name}", value)
    assert (load().port, load().metrics_port) == (8080, 9464)
    assert unknown_variables() == []
    monkeypatch.setenv("OCTANT_PORT", "8081")
    monkeypatch.setenv("OCTANT_PROT", "8081")
    assert load().port == 8081
    assert unknown_variables() == ["OCTANT_PROT"]


def test_an_empty_variable_takes_what_is_on_back(monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    """Where empty means off, it is no missing value; an empty list of proxies is not the default one."""
    (elsewhere / ".env").write_text("OCTANT_OTLP_ENDPOINT=http://collector:4318\r\nOCTANT_WORKERS='5'\r\n")
    assert (load().otlp_endpoint, load().workers) == ("http://collector:4318", 5)
    for name in ("OTLP_ENDPOINT", "WORKERS", "HTTP__TRUSTED_PROXIES"):
        monkeypatch.setenv(f"OCTANT_{name}", "")
    assert (load().otlp_endpoint, load().workers, load().http.trusted_proxies) == ("", 5, "")


@pytest.mark.parametrize(
    ("variable", "written", "said"),
    [
        ("DATABASE_URL", "mysql://a:hidden@h/d", "OCTANT_DATABASE_URL: must begin with postgresql+psycopg://"),
        ("DATABASE_URL", "postgresql://a:hid@den:/#x@h:5432/d", "%40"),  # a password as it is
        ("DATABASE_URL", "postgresql://a:hidden@h:port/d", "host:port"),
        ("VALKEY_URL", "localhost:6379", "OCTANT_VALKEY_URL: must begin with redis://"),
        ("VALKEY_URL", "redis://:hid@den:/#x@h:6379/0", "%40"),
        ("VALKEY_URL", "redis://:hidden@h:6379/staging", "the database's number"),  # the client would take 0
        ("OPENAI__BASE_URL", "api.openai.com/v1", "OCTANT_OPENAI__BASE_URL: must be an address that begins with http"),
        ("OTLP_ENDPOINT", "http://[::1", "OCTANT_OTLP_ENDPOINT: must be an address"),
        ("REQUEST_DEADLINE", "inf", "OCTANT_REQUEST_DEADLINE: "),
        ("HTTP__KEEP_ALIVE", "nan", "OCTANT_HTTP__KEEP_ALIVE: "),
        ("IDEMPOTENCY_KEEP", "1e300", "OCTANT_IDEMPOTENCY_KEEP: "),  # no timestamp of Postgres
        ("PAGING__WATCHDOG_AFTER", "inf", "OCTANT_PAGING__WATCHDOG_AFTER: "),
        ("RECORDS_KEEP", "999999999", "OCTANT_RECORDS_KEEP: "),
        ("DEFAULT_USER_DAILY_CAP", "five", "OCTANT_DEFAULT_USER_DAILY_CAP: 'five' is not an amount in dollars"),
        ("WEBHOOK_ALLOWED_HOSTS", "a.example,b.example", "written as JSON"),
        ("BUDGET__ALERT_SHARES", "50,80", "OCTANT_BUDGET__ALERT_SHARES: "),
        ("OPENAI__HEADERS", "x-key: hidden", "OCTANT_OPENAI__HEADERS: "),
        ("OPENAI__HEADERS", '{"Content-Length": "hid"}', "Content-Length: each request has its own"),
        ("PROVIDERS__GROQ__HEADERS", '{"transfer-encoding": "hid"}', "transfer-encoding: each request has its own"),
        ("OPENAI__HEADERS", '{"x-own: hid": "1"}', "a name of a header has letters, digits and hyphens alone"),
        ("OPENAI__HEADERS", '{"x-own": "hid\\r\\nx: y"}', "x-own: its value holds a control character"),
        ("SECRETS_DIR", "missing", "OCTANT_SECRETS_DIR: there is no folder missing"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_meant_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, written: str, said: str
) -> None:
    monkeypatch.setenv(f"OCTANT_{variable}", written)
    with pytest.raises(Misconfigured) as refused:
        load()
    assert said in str(refused.value)
    assert "hid" not in str(refused.value)


def test_a_file_in_another_encoding_is_named(elsewhere: Path) -> None:
    (elsewhere / ".env").write_bytes("# für Windows\nOCTANT_WORKERS=5\n".encode("utf-16"))
    with pytest.raises(Misconfigured, match=r"\.env is not written in UTF-8"):
        load()


def test_variables_that_are_no_settings_are_listed(monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    """A cap with a typing error in its name would not hold, and no line would say so."""
    (elsewhere / ".env").write_text("OCTANT_WROKERS=5\nPOSTGRES_PASSWORD=x\n")
    for name in (
        "BUDGET__GLOBAL_DAYLY_CAP",
        "BUDGET__GLOBAL_DAILY_CAP",
        "PROVIDERS__LOCAL__BASE_URL",
        "OPENAI__API_KEY",
        "IMAGE",
    ):
        monkeypatch.setenv(f"OCTANT_{name}", "http://1")
    assert {"OCTANT_BUDGET__GLOBAL_DAYLY_CAP", "OCTANT_WROKERS"} == {
        n for n in unknown_variables() if not n.startswith("OCTANT_E")
    }


def test_the_check_of_settings_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTANT_WROKERS", "5")
    found = CliRunner().invoke(app, ["check"])
    assert found.exit_code == 1
    assert "OCTANT_WROKERS is no setting, and changes nothing" in found.stdout


def test_an_account_that_no_header_can_hold_is_refused_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line break at its end, as files have one, is not meant."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org\n")
    assert load().vendor("openai").headers["openai-organization"].get_secret_value() == "org"
    monkeypatch.setenv("OPENAI_ORG_ID", "hid\nden")
    with pytest.raises(Misconfigured, match=r"^OPENAI_ORG_ID: openai-organization: its value holds a control character"):
        load()
