"""What the gateway needs of the releases and of the recorder: a shadow has others than users' calls."""

from typing import Protocol

from app.domain.calls import Identity
from app.domain.records import CallRecord
from app.domain.routes import Pin


class Pins(Protocol):
    """The releases, or one release of a shadow."""

    @property
    def callable(self) -> tuple[str, ...]:
        """The names that clients may call."""
        ...

    def pin(self, target: str, identity: Identity | None = None) -> Pin:
        """Pin a call. Raises UnknownModel."""
        ...

    def note(self, record: CallRecord) -> None:
        """Count what a call says about its release. Never waits."""
        ...

    def note_bad_rating(self, identity: Identity, request_id: str) -> None:
        """Count a user's bad rating. Never waits."""
        ...


class Records(Protocol):
    """The recorder, or the end of a shadow's answers."""

    def record(self, record: CallRecord) -> None:
        """Queue a record. Never waits."""
        ...
