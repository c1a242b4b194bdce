"""Stops that hold, in words: each with its way back. Pure."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

ENVIRONMENT, FILE = "environment", "file"  # which stop, too, and no command releases
MOST_NAMED = 5  # stops in one sentence


def words_of(scope: str, name: str) -> str:
    """How a sentence names what is stopped."""
    return "everything" if scope == "all" else f"{scope} {name}"


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
            f"`rm {shlex.quote(self.reason)}`" if self.by == FILE else f"`octant resume {_command_words(self.scope, self.name)}`"
        )


def _command_words(scope: str, name: str) -> str:
    return f"{scope} {shlex.quote(name)}" if name else scope


def holding(stops: Sequence[Stop]) -> str:
    """A sentence about the stops that hold, each with its way back. Empty where none does."""
    named = [f"{stop.words} ({stop.way_back} ends it)" for stop in stops[:MOST_NAMED]]
    more = ["more: see `octant kill status`"] if len(stops) > MOST_NAMED else []
    return f"Stopped now: {'; '.join([*named, *more])}." if named else ""
