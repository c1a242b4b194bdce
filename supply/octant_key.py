"""A detector for the service's own API keys (`app.security.keys.token`): only one whose checksum holds is a key."""

import re
from collections.abc import Generator
from typing import ClassVar

from detect_secrets.plugins.base import RegexBasedDetector

from app.security.keys.token import PATTERN, key_id_of


class OctantKeyDetector(RegexBasedDetector):
    """Finds API keys of Octant."""

    secret_type = "Octant API key"  # noqa: S105 - the name of a kind
    denylist: ClassVar[list[re.Pattern[str]]] = [re.compile(PATTERN)]

    def analyze_string(self, string: str) -> Generator[str, None, None]:
        """Yield the keys in a text."""
        yield from (found for found in super().analyze_string(string) if key_id_of(found))
