"""A store's error as one sentence for the operator: which store, why, and where to look."""

LOOKS = {"redis": ("Valkey", "OCTANT_VALKEY_URL"), "sqlalchemy": ("Postgres", "OCTANT_DATABASE_URL")}
AWAY = ("OperationalError", "InterfaceError")  # of Postgres: any other error is a fault of ours, and keeps its traceback


def of_store(error: BaseException) -> str | None:
    """The sentence; None where no store is at fault. The packages are named, not imported: most commands need neither."""
    package = type(error).__module__.partition(".")[0]
    if package not in LOOKS or (package == "sqlalchemy" and type(error).__name__ not in AWAY):
        return None
    store, setting = LOOKS[package]
    return f"{store} does not answer; look at {setting}. ({reason(error)})"


def reason(error: BaseException) -> str:
    """The driver's first line. It names host, certificate, user or database, and never a password."""
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
