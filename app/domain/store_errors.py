"""A store's error as one sentence for the operator: which store, why, and where to look."""

VALKEY, POSTGRES = ("Valkey", "OCTANT_VALKEY_URL"), ("Postgres", "OCTANT_DATABASE_URL")
OF_PACKAGE = {"redis": VALKEY, "sqlalchemy": POSTGRES}
AWAY = ("OperationalError", "InterfaceError")  # of Postgres: any other error is a fault of ours, and keeps its traceback


def of_store(error: BaseException) -> str | None:
    """The sentence; None where no store is at fault. The packages are named, not imported: most commands need neither."""
    package = type(error).__module__.partition(".")[0]
    if package not in OF_PACKAGE or (package == "sqlalchemy" and type(error).__name__ not in AWAY):
        return None
    return away(OF_PACKAGE[package], error)


def away(store: tuple[str, str], error: BaseException) -> str:
    """The sentence on an error of a store, which is given by its name and the setting with its address."""
    name, setting = store
    return f"{name} does not answer; look at {setting}. ({reason(error)})"


def reason(error: BaseException) -> str:
    """The driver's first line. It names host, certificate, user or database, and never a password."""
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
