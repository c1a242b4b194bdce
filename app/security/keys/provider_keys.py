"""Our own keys at the providers: where each comes from, and its file read again when it changes (S6).

A key is a setting, or a file in the folder of secrets, or the vendor's own variable, in this order. Files are checked every
second, so a rotated key is used for the next call without a restart; calls that run keep the key they began with. A file that
is empty or unreadable, as in the middle of a rotation, changes nothing and is logged. No key is ever part of a message
here: a fingerprint, a keyed hash cut short, stands for it.
"""

import asyncio
import hashlib
import hmac
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.domain.errors import Misconfigured
from app.domain.periodic import Periodic

READ_EVERY = 1.0
_USABLE = re.compile(r"[\x21-\x7e]{1,1024}")  # anything else would not pass as a header, and its error would quote it
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where one provider's key may be. ``setting`` names the variable that ``value`` is of; a ``file`` goes before it."""

    setting: str
    value: str = field(repr=False)
    file: Path | None


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """The public state of a key.

    ``age``: seconds since its file was written, None for a variable. No fingerprint: no key.
    """

    provider: str
    source: str
    age: float | None
    fingerprint: str | None


@dataclass(slots=True)
class _Known:
    """``sign``: the file as it was last seen."""

    value: str = field(repr=False)
    source: str
    written_at: float | None = None
    sign: tuple[int, ...] | None = None


class ProviderKeys:
    """The keys in use, by provider. ``on_change(provider, key)`` gets changes, ``on_age(provider, seconds)`` ages."""

    def __init__(
        self,
        places: Mapping[str, KeyPlace],
        *,
        secret: bytes,
        on_change: Callable[[str, str], None] = lambda _provider, _key: None,
        on_age: Callable[[str, float], None] = lambda _provider, _seconds: None,
        what: str = "provider key",
    ) -> None:
        """``secret`` keys the fingerprints; ``what`` names these keys in logs.

        Raises Misconfigured for a file that is there and holds no key.
        """
        self._places = places
        self._secret = secret
        self._on_change = on_change
        self._on_age = on_age
        self._what = what
        self._known = {name: _Known(place.value, place.setting) for name, place in places.items()}
        self._logged: dict[str, str] = {}
        self._watching = Periodic(f"files: {what}", self._watch_files, every=READ_EVERY, at_once=False)
        for name, trouble in self._read().items():
            raise Misconfigured(f"{self._places[name].file}: {trouble}")

    def current(self, provider: str) -> str:
        """The key to use for the next call; empty where there is none."""
        return self._known[provider].value

    def fingerprint(self, provider: str) -> str | None:
        """The fingerprint of the key to use for the next call; None where there is none."""
        return self._print(self._known[provider].value)

    def status(self) -> list[KeyStatus]:
        """The status of each key, by provider."""
        now = time.time()
        return [
            KeyStatus(name, known.source, None if known.written_at is None else now - known.written_at, self._print(known.value))
            for name, known in sorted(self._known.items())
        ]

    async def start(self) -> None:
        """Begin to watch the files."""
        self._tell_ages()
        self._watching.start()

    async def aclose(self) -> None:
        """Stop watching."""
        await self._watching.stop()

    async def _watch_files(self) -> None:
        before = {name: known.value for name, known in self._known.items()}
        troubles = await asyncio.to_thread(self._read)
        for name, trouble in troubles.items():
            if self._logged.get(name) != trouble:
                log.error("%s not read, the one before stays in use", self._what, extra={"provider": name, "why": trouble})
        self._logged = troubles
        for name, known in self._known.items():
            if known.value != before[name]:
                self._on_change(name, known.value)
                log.warning("%s changed", self._what, extra={"provider": name, "fingerprint": self._print(known.value)})
        self._tell_ages()

    def _read(self) -> dict[str, str]:
        """Read the files that changed. Returns why, for those that cannot be used."""
        troubles: dict[str, str] = {}
        for name, place in self._places.items():
            if place.file is None:
                continue
            try:
                seen = place.file.stat()
                sign = (seen.st_mtime_ns, seen.st_size, seen.st_ino)
                if sign == self._known[name].sign:
                    continue
                value = place.file.read_text(encoding="ascii").strip()
            except FileNotFoundError:
                if self._known[name].sign:
                    troubles[name] = "The file is gone."
                continue
            except (OSError, UnicodeDecodeError) as error:
                troubles[name] = f"The file cannot be read ({type(error).__name__})."
                continue
            if _USABLE.fullmatch(value):
                self._known[name] = _Known(value, str(place.file), seen.st_mtime, sign)
            else:
                troubles[name] = "The file does not hold a key: one line of visible ASCII characters."
        return troubles

    def _tell_ages(self) -> None:
        for status in self.status():
            if status.age is not None:
                self._on_age(status.provider, status.age)

    def _print(self, key: str) -> str | None:
        return hmac.digest(self._secret, b"provider key " + key.encode(), hashlib.sha256).hex()[:8] if key else None
