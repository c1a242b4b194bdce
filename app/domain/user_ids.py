"""The ids of end users, as tenants name them, and as operators bind keys to them."""

import re

from app.domain.errors import InvalidRequest
from app.domain.unseen import revealed

MOST_USER = 128  # the ledger's column: a longer name could not be stored
_NOT_IN_USER = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def check_user(user: str) -> None:
    """Raise InvalidRequest for an id that is empty, too long or not storable, or that looks like another one."""
    if not user or len(user) > MOST_USER or _NOT_IN_USER.search(user) or revealed(user) != user:
        raise InvalidRequest(
            f"A user's id has 1 to {MOST_USER} characters, and no control characters, also none that hide.", param="user"
        )
