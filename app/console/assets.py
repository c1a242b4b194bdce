"""Style, scripts and fonts of the console: read once, named by their content, so a browser keeps them for ever."""

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.domain.errors import NotFound

FOLDER = Path(__file__).with_name("static")
MEDIA = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".woff2": "font/woff2",
    ".svg": "image/svg+xml",
}
YEAR = 31_536_000
_URL = re.compile(rb"url\(([\w./-]+)\)")


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it leaves."""

    body: bytes
    packed: bytes
    media: str
    digest: str


@cache
def _assets() -> dict[str, Asset]:
    """By name. Styles last: they name fonts by their address."""
    found: dict[str, Asset] = {}
    paths = [path for path in FOLDER.rglob("*") if path.suffix in MEDIA]
    for path in sorted(paths, key=lambda path: (path.suffix == ".css", path)):
        body = path.read_bytes()
        if path.suffix == ".css":
            body = _URL.sub(lambda name: f"url({_address(name[1].decode(), found)})".encode(), body)
        found[path.relative_to(FOLDER).as_posix()] = _made(body, path.suffix)
    return found


def _made(body: bytes, suffix: str) -> Asset:
    packed = gzip.compress(body, 9, mtime=0) if suffix != ".woff2" else b""
    return Asset(body, packed, MEDIA[suffix], hashlib.sha256(body).hexdigest()[:16])


def _address(name: str, among: Mapping[str, Asset]) -> str:
    return f"/console/static/{among[name].digest}/{name}"


def asset(name: str) -> str:
    """The address of a file. Raises KeyError where there is none."""
    return _address(name, _assets())


def router() -> APIRouter:
    """The route. Open to all: the sign-in page needs it, and it holds nothing of this service."""
    made = APIRouter(prefix="/console/static", include_in_schema=False)

    @made.get("/{digest}/{name:path}")
    async def file(request: Request, digest: str, name: str) -> Response:
        """One file."""
        found = _assets().get(name)
        if found is None or digest != found.digest:
            raise NotFound("No such file.")
        headers = {"cache-control": f"public, max-age={YEAR}, immutable", "vary": "accept-encoding"}
        if found.packed and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(found.packed, media_type=found.media, headers={**headers, "content-encoding": "gzip"})
        return Response(found.body, media_type=found.media, headers=headers)

    return made
