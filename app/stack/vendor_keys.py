"""Checks a vendor's key with one request for its list of models, which costs nothing (G6).

A wrong key would go unnoticed otherwise: its calls fail over to the other vendor, or to the simulator in its place.
"""

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from email.message import Message
from http import HTTPStatus
from http.client import HTTPException
from typing import IO
from urllib.parse import urlsplit

from app.domain.addresses import without_user
from app.domain.hosts import is_loopback
from app.gateway.providers.adapters import ADAPTERS
from app.settings import ProviderSettings, Settings

ANSWER_SECONDS = 4.0
WAIT_SECONDS = 5.0
REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class KeyChecks:
    """One line for each provider, from requests that run beside the demo's start and never hold its end up."""

    def __init__(self, settings: Settings, simulated: Sequence[str]) -> None:
        """Send the requests: to every provider with a key that the simulator does not stand in for."""
        self._simulated = list(simulated)
        self._found: dict[str, str] = {}
        self._threads: list[threading.Thread] = []
        places = settings.key_places()
        for name, provider in settings.all_providers().items():
            if name in simulated:
                continue
            self._found[name] = f"real ({without_user(provider.base_url)[0]})"
            place = places[name]
            if key := settings.provider_key(name):
                source = str(place.file) if place.file and place.file.is_file() else place.setting
                thread = threading.Thread(target=self._check, args=(name, provider, key, source), daemon=True)
                thread.start()
                self._threads.append(thread)

    def lines(self) -> list[str]:
        """The findings, after at most five seconds of waiting for them."""
        ends = time.monotonic() + WAIT_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))
        simulated = [f"{name}: simulated; set {name.upper()}_API_KEY for its real models" for name in self._simulated]
        return simulated + [f"{name}: {found}" for name, found in self._found.items()]

    def _check(self, name: str, provider: ProviderSettings, key: str, source: str) -> None:
        self._found[name] += f"; its key ({source}) {_verdict(provider, key)}"


def _verdict(provider: ProviderSettings, key: str) -> str:
    adapter = ADAPTERS[provider.kind]
    if adapter.models_path is None:
        return "cannot be checked: its vendor has no list of models."
    address, user = without_user(provider.base_url)
    headers = {**adapter.key_headers(key), **({"authorization": user} if user else {})}
    try:
        request = urllib.request.Request(address.rstrip("/") + adapter.models_path, headers=headers)  # noqa: S310 - the operator's address
        with _opener(provider.base_url).open(request, timeout=ANSWER_SECONDS):
            return "is accepted."
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in REFUSED:
            return f"IS REFUSED ({error.code}): every call to it will fail. Set a key that works, or none, and start again."
        return f"could not be checked: {error.code} for {adapter.models_path}."
    except (OSError, ValueError, HTTPException) as error:
        why = getattr(error, "reason", error)
        return f"could not be checked: {type(why).__name__ if isinstance(why, Exception) else why}."


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A key goes to the address that it was given for, and to no other."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        """Do not follow."""


def _opener(address: str) -> urllib.request.OpenerDirector:
    """Through the proxy that the environment names, but never to this machine through one."""
    local = is_loopback(urlsplit(address).hostname or "")
    return urllib.request.build_opener(_NoRedirect, *([urllib.request.ProxyHandler({})] if local else []))
