"""A user's data, room by room, in the order in which it may be erased."""

from collections.abc import Mapping

from app.domain.personal import PersonalData
from app.migrations.metadata import ROOMS

# Rows that are found through the calls' records go before them.
PLAN: tuple[PersonalData, ...] = tuple(
    data for room in sorted(ROOMS, key=lambda room: room.__name__.startswith("app.audit")) for data in room.PERSONAL
)
NOT_PERSONAL: Mapping[str, str] = {name: why for room in ROOMS for name, why in room.NOT_PERSONAL.items()}
