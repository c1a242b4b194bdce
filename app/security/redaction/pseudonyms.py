"""The pseudonym of a user whose id may be one already, as ledger and pages have it."""

import re
from typing import Protocol

PSEUDONYM = re.compile(r"user#[0-9a-f]{24}")


class Naming(Protocol):
    """What `pseudonym_of` needs of `Redactor`."""

    def pseudonym(self, user: str, *, tenant: str) -> str:
        """The name of a user in rows that outlive the user's data."""


def pseudonym_of(redactor: Naming, tenant: str, user: str) -> str:
    """The id itself where it is a pseudonym."""
    return user if PSEUDONYM.fullmatch(user) else redactor.pseudonym(user, tenant=tenant)
