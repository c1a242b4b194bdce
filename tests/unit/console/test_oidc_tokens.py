"""ID tokens that count, and the forgeries that do not (S8)."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, Key, OctKey, RSAKey

from app.console.oidc.begun import Seal, begin
from app.console.oidc.tokens import UnknownKey, keys_of, person_of, verified
from app.domain.errors import DependencyUnavailable, Forbidden, Misconfigured, Unauthenticated
from app.security.oidc_settings import OidcSettings, is_safe
from app.settings import load
from app.wiring.console import people_of

EC = ECKey.generate_key("P-256", {"kid": "one", "use": "sig"})
RSA = RSAKey.generate_key(2048, {"kid": "two"})
KEYS = keys_of({"keys": [EC.as_dict(private=False), RSA.as_dict(private=False)]})
SETTINGS = OidcSettings(
    issuer="https://id.example", client_id="octant", url="https://octant.example", operators=frozenset({"sre"}),
    viewers=frozenset({"staff"}),
)  # fmt: skip


def claims(**changed: object) -> dict[str, Any]:
    now = int(time.time())
    whole = {"iss": "https://id.example", "aud": "octant", "sub": "ada", "iat": now, "exp": now + 300, "nonce": "n", **changed}
    return {name: value for name, value in whole.items() if value is not None}


def signed(key: Key = EC, alg: str = "ES256", header: dict[str, Any] | None = None, **changed: object) -> str:
    return jwt.encode({"alg": alg, "kid": "one", **(header or {})}, claims(**changed), key, algorithms=[alg])


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(("key", "kid", "alg"), [(EC, "one", "ES256"), (RSA, "two", "RS256"), (RSA, "two", "PS256")])
def test_a_token_of_the_provider_counts(key: Key, kid: str, alg: str) -> None:
    token = jwt.encode({"alg": alg, "kid": kid}, claims(), key, algorithms=[alg])
    assert verified(token, KEYS, SETTINGS, nonce="n")["sub"] == "ada"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"nonce": "of another sign-in"}, "belongs to another sign-in"),
        ({"nonce": None}, "claim is missing"),
        ({"nonce": ["n"]}, "belongs to another sign-in"),
        ({"aud": "another client"}, "claim is not as"),
        ({"aud": None}, "claim is missing"),
        ({"aud": ["octant", "another client"]}, "for another client"),
        ({"azp": "another client"}, "for another client"),
        ({"iss": "https://id.example/"}, "claim is not as"),
        ({"iss": "https://evil.example"}, "claim is not as"),
        ({"exp": int(time.time()) - 3600}, "has expired"),
        ({"exp": None}, "claim is missing"),
        ({"exp": "never"}, "claim is not as"),
        ({"exp": float("nan")}, "claim is not as"),
        ({"nbf": int(time.time()) + 3600}, "claim is not as"),
        ({"iat": int(time.time()) + 3600}, "claim is not as"),
        ({"sub": ""}, "claim is"),
        ({"sub": 1}, "claim is not as"),
        ({"sub": "x" * 256}, "empty or too long"),
        ({"more": "x" * 70_000}, "too long"),
    ],
)
def test_a_token_of_another_time_client_or_sign_in_is_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(Unauthenticated, match=words):
        verified(signed(**changed), KEYS, SETTINGS, nonce="n")


def test_a_token_whose_claims_no_parser_reads_is_refused() -> None:
    deep = jws.serialize_compact({"alg": "ES256", "kid": "one"}, '{"a":' + "[" * 20_000, EC, algorithms=["ES256"])
    with pytest.raises(Unauthenticated, match="cannot be read"):
        verified(deep, KEYS, SETTINGS, nonce="n")


def test_a_token_without_a_signature_by_the_provider_is_refused() -> None:
    stranger = ECKey.generate_key("P-256", {"kid": "one"})
    any_key = signed(OctKey.import_key(base64.b64encode(b"x" * 32).decode()), "HS256")
    with_pem = f"{part({'alg': 'HS256', 'kid': 'two'})}.{part(claims())}"
    forged = {
        "alg none": f"{part({'alg': 'none', 'kid': 'one'})}.{part(claims())}.",
        "alg None": f"{part({'alg': 'None'})}.{part(claims())}.",
        "an HMAC with any key": any_key,
        "an HMAC with the public key": f"{with_pem}.{_hmac(RSA.as_pem(private=False), with_pem)}",
        "a stranger's key under a known id": signed(stranger),
        "a key within the header": signed(stranger, header={"jwk": stranger.as_dict(private=False)}),
        "another's signature": signed()[: signed().rindex(".")] + "." + signed(sub="eve").rpartition(".")[2],
        "no token": "",
        "not a token": "a.b.c",
        "not text": "\ud800.é.",
        "not claims": jws.serialize_compact({"alg": "ES256", "kid": "one"}, b"[1]", EC, algorithms=["ES256"]),
    }
    for name, token in forged.items():
        with pytest.raises(Unauthenticated) as caught:
            verified(token, KEYS, SETTINGS, nonce="n")
        assert not token or token[:20] not in caught.value.message, name


def _hmac(key: bytes, text: str) -> str:
    return base64.urlsafe_b64encode(hmac.digest(key, text.encode(), hashlib.sha256)).rstrip(b"=").decode()


def test_a_key_that_is_not_known_is_an_error_of_its_own() -> None:
    with pytest.raises(UnknownKey):
        verified(signed(header={"kid": "newer"}), KEYS, SETTINGS, nonce="n")


def test_only_public_keys_for_signatures_are_read() -> None:
    odd: list[object] = [
        {"kty": "oct", "k": "c2VjcmV0"}, {"kty": "EC"}, {"kty": "RSA", "use": "enc"}, 1, {}, {"kty": "EC", "crv": 1, "x": None},
    ]  # fmt: skip
    with pytest.raises(DependencyUnavailable):
        keys_of({"keys": odd})
    with pytest.raises(DependencyUnavailable):
        keys_of({"keys": "none"})
    assert len(keys_of({"keys": [*odd, EC.as_dict(private=False)]}).keys) == 1


@pytest.mark.parametrize(
    ("held", "claim", "role"),
    [
        ({"groups": ["sre", "staff"]}, "groups", "operator"),
        ({"groups": ["staff"]}, "groups", "viewer"),
        ({"groups": "sre"}, "groups", "operator"),
        ({"groups": ["SRE"]}, "groups", None),
        ({"groups": [["sre"], 1, None]}, "groups", None),
        ({"groups": {"sre": True}}, "groups", None),
        ({}, "groups", None),
        ({"realm_access": {"roles": ["sre"]}}, "realm_access.roles", "operator"),
        ({"realm_access": "sre"}, "realm_access.roles", None),
        ({"https://corp.example/roles": ["sre"]}, "https://corp.example/roles", "operator"),
        ({"email": "sre", "email_verified": True}, "email", "operator"),
        ({"email": "sre", "email_verified": "true"}, "email", None),
        ({"email": "sre"}, "email", None),
    ],
)
def test_groups_give_a_role_and_the_rest_is_refused_with_words(held: dict[str, Any], claim: str, role: str | None) -> None:
    settings = SETTINGS.model_copy(update={"claim": claim})
    if role:
        assert person_of({"sub": "1", "name": "Ada", **held}, settings).role == role
    else:
        with pytest.raises(Forbidden, match=r"no role|not verified"):
            person_of({"sub": "1", **held}, settings)


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "http://id.example"}, {"issuer": "https://ada:word@id.example"}, {"url": "http://octant.example"},
        {"url": "https://octant.example/console"}, {"url": ""}, {"client_id": ""}, {"operators": [], "viewers": []},
        {"issuer": "https://id.example/#x"}, {"issuer": "file:///etc/passwd"}, {"patience": 0},
    ],
)  # fmt: skip
def test_a_login_that_is_half_set_up_or_unsafe_does_not_start(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|greater"):
        OidcSettings(**{**SETTINGS.model_dump(), **changed})


def test_plain_http_is_for_this_machine_alone() -> None:
    assert all(map(is_safe, ("http://localhost:1", "http://127.0.0.1:1/x", "http://[::1]:1", "https://id.example")))
    assert not any(map(is_safe, ("http://localhost.evil.example", "http://10.0.0.1", "//id.example", "javascript:1", "")))
    assert not is_safe("http://localhost:1", here=False)


def test_a_sign_in_ends_in_the_browser_that_began_it_and_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seal, begun = Seal(b"a secret"), begin("/console/calls")
    kept = seal.seal(begun)
    assert seal.open(kept, state=begun.state) == begun
    body, _, mac = kept.partition(".")
    changed = part({**json.loads(base64.urlsafe_b64decode(body + "==")), "to": "https://evil.example"})
    for value, state in (
        (kept, begin("/").state), (kept, ""), ("", ""), ("", begun.state), (f"{changed}.{mac}", begun.state), (body, begun.state),
        (Seal(b"another").seal(begun), begun.state), (kept + "é", begun.state),
    ):  # fmt: skip
        with pytest.raises(Unauthenticated, match="Begin again"):
            seal.open(value, state=state)
    monkeypatch.setattr(time, "time", lambda: begun.ends + 1)
    with pytest.raises(Unauthenticated, match="has expired"):
        seal.open(kept, state=begun.state)


def test_the_clients_secret_is_read_anew_for_each_sign_in(tmp_path: Path) -> None:
    file = tmp_path / "octant_console_oidc__client_secret"
    file.write_text("one")
    settings = load(secrets_dir=tmp_path, console_oidc=SETTINGS.model_dump())
    provider = people_of(settings)
    assert provider
    assert provider._client_secret() == "one"
    file.write_text("another\n")
    assert provider._client_secret() == "another"
    file.write_text("two words")
    with pytest.raises(DependencyUnavailable):
        provider._client_secret()
    with pytest.raises(Misconfigured, match="one line"):
        people_of(settings)
    assert people_of(load()) is None
