"""What a stop can be of: scopes and names. Pure, and light to import: the settings read it."""

from typing import Literal, get_args

from app.domain.errors import InvalidRequest

Scope = Literal["all", "provider", "model", "prompt", "feature", "tool", "tenant", "user"]
SCOPES: tuple[str, ...] = get_args(Scope)
LONGEST_NAME = 128
USER = "user"  # its names are TENANT/USER; both stores have the user's pseudonym
Subject = tuple[str, str]  # scope and name
SELF_TEST: Subject = ("test", "self-test")  # reserved: stops no call, and operators cannot name it


def check_name(scope: str, name: str) -> None:
    """Raise InvalidRequest for a scope that does not exist, or a name that is missing, needless, too long or not printable."""
    if scope not in SCOPES:
        raise InvalidRequest(f"Unknown scope {scope!r}: one of {', '.join(SCOPES)}.", param="scope")
    if (scope == "all") == bool(name):
        raise InvalidRequest("`all` takes no name; every other scope needs one.", param="name")
    tenant, _, user = name.partition("/")
    if scope == USER and not (tenant and user):
        raise InvalidRequest("A user is named with its tenant, as TENANT/USER.", param="name")
    if not name.isprintable():
        raise InvalidRequest("A name has no control characters.", param="name")
    if len(user if scope == USER else name) > LONGEST_NAME:
        raise InvalidRequest(f"A name has at most {LONGEST_NAME} characters.", param="name")


def parse(text: str) -> frozenset[Subject]:
    """Read ``all``, or ``tenant:acme, provider:openai``. Raises InvalidRequest as `check_name`."""
    found = set()
    for word in filter(None, (part.strip() for part in text.split(","))):
        scope, _, name = word.partition(":")
        check_name(scope, name)
        found.add((scope, name))
    return frozenset(found)
