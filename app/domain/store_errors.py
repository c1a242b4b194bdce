"""A store's error as one sentence for the operator: which store, why, and where to look."""

from collections.abc import Mapping

from app.domain.errors import DependencyUnavailable
from app.domain.postgres_words import FULL, REFUSED

VALKEY, POSTGRES = ("Valkey", "OCTANT_VALKEY_URL"), ("Postgres", "OCTANT_DATABASE_URL")
OF_PACKAGE = {"redis": VALKEY, "sqlalchemy": POSTGRES}
AWAY = ("OperationalError", "InterfaceError")  # of Postgres: any other error is a fault of ours, and keeps its traceback
LOCKED = "55P03"  # lock_not_available (postgresql.org/docs/current/errcodes-appendix.html)
ROOTS = {"sqlalchemy": ("DBAPIError", "TimeoutError"), "redis": ("RedisError",), "psycopg": ("Error",)}  # of a store's own errors
OF_CLUSTER = ("MovedError", "AskError")  # of redis
QUOTING = ("DataError", "IntegrityError", "StatementError")  # their words quote values


def of_store(error: BaseException) -> str | None:
    """The sentence; None where no store is at fault. The packages are named, not imported: most commands need neither."""
    package = _package(error)
    if package not in OF_PACKAGE or (package == "sqlalchemy" and type(error).__name__ not in AWAY):
        return None
    return away(OF_PACKAGE[package], error)


def away(store: tuple[str, str], error: BaseException) -> str:
    """The sentence on an error of a store, which is given by its name and the setting with its address."""
    name, setting = store
    if getattr(getattr(error, "orig", error), "sqlstate", None) == LOCKED:
        return f"{name} waits for a session that holds a lock: `octant stores` names it. ({reason(error)})"
    if takes_no_more(error):
        way = "`octant runbook too many clients` says how to find their holder"
        return f"{name} takes no more connections, as all are used: {way}. ({reason(error)})"
    return f"{name} {'refuses this' if _answered(error) else 'does not answer'}; look at {setting}. ({reason(error)})"


def is_of_store(error: BaseException) -> bool:
    """Whether a store, or the way to it, raised an error: no mistake in how a driver is called."""
    kinds = ((kind.__module__.partition(".")[0], kind.__name__) for kind in type(error).__mro__)
    return any(name in ROOTS.get(package, ()) for package, name in kinds)


def why(error: BaseException) -> dict[str, str]:
    """Fields of a log line: the error's type, and a store's own reason, without which an operator can only guess."""
    fields = {"error_type": type(error).__name__}
    cause = getattr(error, "orig", None) or error  # SQLAlchemy's own types all derive from StatementError
    kinds = {kind.__name__ for kind in type(cause).__mro__}
    if _package(cause) and kinds.isdisjoint(QUOTING):
        fields["reason"] = reason(error)
    elif isinstance(error, DependencyUnavailable):
        fields["reason"] = error.message
    elif isinstance(error, OSError) and error.strerror:
        fields["reason"] = error.strerror
    return fields


def is_sentinel(about: Mapping[str, object]) -> bool:
    """Whether the server that answered INFO so is a Sentinel. Valkey has another name for the field than Redis, from 8 on."""
    return "sentinel" in (about.get("redis_mode"), about.get("server_mode"))


def takes_no_more(error: BaseException) -> bool:
    """Whether Postgres answers, and all connections of the server, or of the role or the database, are used."""
    return FULL.search(str(getattr(error, "orig", None) or error)) is not None


def _package(error: BaseException) -> str:
    """The driver that the error, or the one that it derives from, is of; empty where it is no store's."""
    packages = (kind.__module__.partition(".")[0] for kind in type(error).__mro__)
    return next((package for package in packages if package in {*OF_PACKAGE, "psycopg"}), "")


def _answered(error: BaseException) -> bool:
    """Whether the store is there and said no: a read-only server, a full one, a right that is missing."""
    sqlstate = getattr(getattr(error, "orig", error), "sqlstate", None) or ""
    of_valkey = any(kind.__name__ in ("ResponseError", "AuthenticationError") for kind in type(error).__mro__)
    at_the_door = not sqlstate and REFUSED.search(str(getattr(error, "orig", None) or error)) is not None
    return of_valkey or at_the_door or (bool(sqlstate) and not sqlstate.startswith(("08", "57P")))


def reason(error: BaseException) -> str:
    """The driver's first line. It names host, certificate, user or database, and never a password.

    Valkey quotes the arguments of a command that it does not know: ours name tenants and users. A server of a cluster answers a
    key's slot and its owner alone.
    """
    if type(error).__name__ in OF_CLUSTER:
        return "this server is one of a cluster, and holds some keys alone: the service needs one that holds all"
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0].partition(", with args")[0]
