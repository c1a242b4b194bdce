"""The end user in ``metadata.user_id``.

Claude Code sends device, account and session in one value, so each of its sessions would be a user with caps of its own. The
account is the user; without one, the device is. The vendor takes 256 characters and the ledger 128: a longer value stands as its
hash.
"""

import hashlib
import json
import re

from app.domain.user_ids import MOST_USER

# user_<device>_account_<account>_session_<session>; newer versions send the same three in a JSON object
_PARTS = re.compile(r"user_([0-9a-f]{64})_account_([0-9A-Za-z-]*)_session_[0-9A-Za-z-]+")


def user_of(value: str | None) -> str | None:
    """The user for caps and records; None where the caller names none."""
    if not value:
        return None
    user = _of_coding_agent(value) or value
    return user if len(user) <= MOST_USER else "sha256-" + hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()


def _of_coding_agent(value: str) -> str | None:
    if found := _PARTS.fullmatch(value):
        return found[2] or found[1]
    if not value.startswith("{"):
        return None
    try:
        named = json.loads(value)
    except ValueError:
        return None
    known = (named.get("account_uuid"), named.get("device_id")) if isinstance(named, dict) else ()
    return next((part for part in known if isinstance(part, str) and part), None)
