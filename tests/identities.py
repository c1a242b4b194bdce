"""A provider of identities that misbehaves as a test wants. It checks PKCE, and takes each code once."""

import base64
import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.jwk import ECKey

Claims = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Identities:
    """``change`` edits the claims of the next token; ``instead`` answers a path in place of the usual answer."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256", {"kid": "one"})
        self.change: Callable[[Claims], Claims] = dict
        self.instead: dict[str, Handler] = {}
        self.more: dict[str, Any] = {}
        self.visited: set[str] = set()
        self.forms: list[dict[str, str]] = []
        self._codes: dict[str, dict[str, str]] = {}
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self.server = TestServer(app)

    @property
    def issuer(self) -> str:
        return str(self.server.make_url("")).rstrip("/")

    def approve(self, address: str) -> tuple[str, str]:
        """A person says yes on the provider's page. Returns the code and the state."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        code = f"code-{len(self._codes)}"
        self._codes[code] = asked
        return code, asked["state"]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.visited.add(request.path)
        if request.path in self.instead:
            return await self.instead[request.path](request)
        if request.path == "/.well-known/openid-configuration":
            ends = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
            return web.json_response(
                {"issuer": self.issuer, **{name: self.issuer + path for name, path in ends.items()}, **self.more}
            )
        if request.path == "/keys":
            return web.json_response({"keys": [self.key.as_dict(private=False)]})
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.forms.append(form)
        asked = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or (asked["code_challenge"], asked["redirect_uri"]) != (challenge, form["redirect_uri"]):
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(time.time())
        whole = {
            "iss": self.issuer, "aud": asked["client_id"], "sub": "ada", "iat": now, "exp": now + 60, "nonce": asked["nonce"],
            "groups": ["sre"], "email": "ada@corp.example",
        }  # fmt: skip
        token = jwt.encode({"alg": "ES256", "kid": self.key.kid}, self.change(whole), self.key, algorithms=["ES256"])
        return web.json_response({"id_token": token, "access_token": "x", "token_type": "Bearer"})
