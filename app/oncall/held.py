"""Stops that hold, in words: each with its way back. Pure."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.oncall.scopes import USER

ENVIRONMENT, FILE = "environment", "file"  # which stop, too, and no command releases
MOST_NAMED = 5  # stops in one sentence


def words_of(scope: str, name: str) -> str:
    """How a sentence names what is stopped."""
    if scope == USER:
        tenant, _, user = name.partition("/")
        return f"{'' if user.startswith('user#') else 'user '}{user} of {tenant}"
    return "everything" if scope == "all" else f"{scope} {name}"


def subject_of(scope: str, name: str) -> str:
    """How a sentence begins with it."""
    return words_of(scope, name).removeprefix("user ") if scope == USER else name or scope


@dataclass(frozen=True, slots=True)
class Stop:
    """One thing that is stopped: ``scope`` and ``name`` (empty for everything), by whom, why, since when, and the message."""

    scope: str
    name: str
    by: str
    reason: str
    at: str
    in_flight: bool = False
    message: str = ""

    @property
    def words(self) -> str:
        """``scope name``, or the word for everything."""
        return words_of(self.scope, self.name)

    @property
    def way_back(self) -> str:
        """How it is ended."""
        if self.by == ENVIRONMENT:
            return "a restart without OCTANT_STOPPED"
        return (
            f"`rm {shlex.quote(self.reason)}`" if self.by == FILE else f"`octant resume {command_words(self.scope, self.name)}`"
        )


def command_words(scope: str, name: str) -> str:
    """How a command names it: a user with its tenant, in two words."""
    return shlex.join([scope, *(name.split("/", 1) if scope == USER else [name] if name else [])])


def named(stops: Sequence[Stop], users: Mapping[str, str]) -> list[Stop]:
    """The same, with users by their ids where these are known. ``users``: ids by the names that the stores have."""
    return [replace(one, name=users.get(one.name, one.name)) if one.scope == USER else one for one in stops]


def holding(stops: Sequence[Stop]) -> str:
    """A sentence about the stops that hold, each with its way back. Empty where none does."""
    named = [f"{stop.words} ({stop.way_back} ends it)" for stop in stops[:MOST_NAMED]]
    more = ["more: see `octant kill status`"] if len(stops) > MOST_NAMED else []
    return f"Stopped now: {'; '.join([*named, *more])}." if named else ""
