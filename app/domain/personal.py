"""Declarations of personal data, beside each room's tables; `app.erasure` uses them, a test proves them complete (O8)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

OWN = 'tenant = :tenant AND "user" = ANY(:users)'


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalData:
    """Rows of one table that are about a user.

    ``where`` finds them, in SQL over ``:tenant``, ``:users`` (the id as sent and as redacted) and ``:requests`` and ``:traces``
    (of the user's recorded calls). ``change`` is what erasing sets instead of deleting the rows: SQL by column, over ``:person``
    (a pseudonym) too. ``erase`` replaces both where one statement is not enough of a promise. ``columns`` are the columns with a
    user's id or with text; ``hidden`` ones are no part of an export. ``pseudonymous``: rows may be written under the user's
    pseudonym from the beginning, and are found by it too.
    """

    table: str
    columns: tuple[str, ...]
    where: str = OWN
    change: Mapping[str, str] = field(default_factory=dict)
    erase: str | None = None
    hidden: tuple[str, ...] = ()
    pseudonymous: bool = False
