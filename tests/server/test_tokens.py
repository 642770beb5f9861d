"""JSON Web Tokens: every invalid token gets the same response."""

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time
import tomllib
from contextlib import contextmanager
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from packaging.requirements import Requirement

from backstay.server.auth.authentication import RequestIdentity
from backstay.server.auth.json_web_tokens import JsonWebTokens
from server._token_issuer import Issuer
from support.harness.async_waiting import until
from support.harness.sampling import sample
from support.harness.waiting import PATIENCE_SECONDS
from support.servers.api import ANN, ENOUGH, ISSUER, SECRET, bearer, claims, libraries, serving, token_of
from support.servers.route_requests import CASES, request_of

settings = libraries(ENOUGH)

_NAMES = {"jobId": "j", "itemId": "i", "conversationId": "c", "backupId": "backup-1-a", "new": "n"}
_PROJECT = Path(__file__).parents[2] / "pyproject.toml"
_BODY = {
    "error": {"code": "unauthorized", "message": "This address needs a valid token", "details": {}, "remedy": None}
}


def _encoded(value):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _handmade_token(head, payload, secret=SECRET):
    """Return a handmade token that is signed with HMAC, whatever its header claims."""
    signed = f"{_encoded(head)}.{_encoded(payload)}"
    digest = hmac.digest(secret if isinstance(secret, bytes) else secret.encode(), signed.encode(), hashlib.sha256)
    return f"{signed}.{_encoded(digest)}"


def _rsa_token():
    return jwt.encode(claims(), rsa.generate_private_key(65537, 2048), algorithm="RS256", headers={"kid": "k"})


_NOW = int(time.time())
_GOOD = token_of()
_HEAD, _SAID, _SIGNATURE = _GOOD.split(".")

HOSTILE = {
    "none at all": {},
    "empty": {"Authorization": ""},
    "no scheme": {"Authorization": _GOOD},
    "basic": {"Authorization": "Basic " + base64.b64encode(b"ann:pw").decode()},
    "bearer of nothing": {"Authorization": "Bearer "},
    "not a token": bearer("x"),
    "two parts": bearer(f"{_HEAD}.{_SAID}"),
    "four parts": bearer(f"{_GOOD}.x"),
    "five parts": bearer("a.b.c.d.e"),
    "spaces within": {"Authorization": f"Bearer {_HEAD}. {_SAID}.{_SIGNATURE}"},
    "two tokens": {"Authorization": f"Bearer {_GOOD}, Bearer {_GOOD}"},
    "longer than any": bearer("a" * 17_000),
    "no signature": bearer(f"{_HEAD}.{_SAID}."),
    "a bit of the signature flipped": bearer(_GOOD[:-2] + ("A" if _GOOD[-2] != "A" else "B") + _GOOD[-1]),
    "claims exchanged": bearer(f"{_HEAD}.{_encoded(claims('somebody'))}.{_SIGNATURE}"),
    "another secret": bearer(jwt.encode(claims(), "b" * 40, algorithm="HS256")),
    "an empty secret": bearer(_handmade_token({"alg": "HS256"}, claims(), b"")),
    "alg none": bearer(f"{_encoded({'alg': 'none'})}.{_encoded(claims())}."),
    "alg None": bearer(f"{_encoded({'alg': 'None'})}.{_encoded(claims())}.{_SIGNATURE}"),
    "no alg": bearer(_handmade_token({"typ": "JWT"}, claims())),
    "alg is a list": bearer(_handmade_token({"alg": ["HS256"]}, claims())),
    "HS384": bearer(jwt.encode(claims(), SECRET * 2, algorithm="HS384")),
    "RS256 without such keys": bearer(_rsa_token()),
    "ES256 of nobody": bearer(jwt.encode(claims(), ec.generate_private_key(ec.SECP256R1()), algorithm="ES256")),
    "EdDSA of nobody": bearer(jwt.encode(claims(), ed25519.Ed25519PrivateKey.generate(), algorithm="EdDSA")),
    "its own key in its head": bearer(
        _handmade_token({"alg": "HS256", "jwk": {"kty": "oct", "k": _encoded(b"x" * 40)}}, claims(), b"x" * 40)
    ),
    "its own address of keys": bearer(
        _handmade_token({"alg": "RS256", "kid": "k", "jku": "http://evil.example/jwks"}, claims())
    ),
    "an unknown critical head": bearer(_handmade_token({"alg": "HS256", "crit": ["exp"], "exp": 1}, claims())),
    "head is no object": bearer(_handmade_token(b"[]", claims())),
    "head is no JSON": bearer(_handmade_token(b"{", claims())),
    "claims are no object": bearer(_handmade_token({"alg": "HS256"}, b'"ann"')),
    "claims are a list": bearer(_handmade_token({"alg": "HS256"}, [claims()])),
    "claims are deep": bearer(_handmade_token({"alg": "HS256"}, b'{"a":' * 2_000 + b"1" + b"}" * 2_000)),
    "expired": bearer(token_of(exp=_NOW - 60)),
    "not yet valid": bearer(token_of(nbf=_NOW + 86_400)),
    "issued in the future": bearer(token_of(iat=_NOW + 86_400)),
    "no exp": bearer(token_of(exp=None)),
    "exp is text": bearer(token_of(exp="tomorrow")),
    "exp is huge": bearer(
        _handmade_token({"alg": "HS256"}, json.dumps(claims(exp=0)).replace('"exp": 0', '"exp": 1e400').encode())
    ),
    "no sub": bearer(token_of(sub=None)),
    "empty sub": bearer(token_of(sub="")),
    "blank sub": bearer(token_of(sub="  ")),
    "sub is a number": bearer(_handmade_token({"alg": "HS256"}, {**claims(), "sub": 7})),
    "sub is a list": bearer(_handmade_token({"alg": "HS256"}, {**claims(), "sub": [ANN]})),
    "sub with NUL": bearer(token_of(sub="a\x00b")),
    "sub is endless": bearer(token_of(sub="a" * 600)),
    "no aud": bearer(token_of(aud=None)),
    "another aud": bearer(token_of(aud="anon")),
    "no iss": bearer(token_of(iss=None)),
    "another iss": bearer(token_of(iss="https://other.example/auth/v1")),
    "iss with a slash more": bearer(token_of(iss=ISSUER + "/")),
    "no role": bearer(token_of(role=None)),
    "role anon": bearer(token_of(role="anon")),
    "role service_role": bearer(token_of(role="service_role")),
    "role is a list": bearer(token_of(role=["authenticated"])),
}  # fmt: skip
_PAIRS = [(name, address) for name in HOSTILE for address in CASES]


@pytest.fixture
def issuer():
    """An issuer of tokens."""
    issuer = Issuer()
    yield issuer
    issuer.close()


def _is_refused(answer):
    assert answer.status_code == 401, f"{answer.status_code} {answer.text}"
    assert answer.json() == _BODY
    assert answer.headers["www-authenticate"] == "Bearer"
    return True


async def test_every_hostile_token_is_refused_everywhere(api):
    """Every hostile token gets the same 401 response at every address, before the request is read."""
    assert len(HOSTILE) >= 30

    for name, address in _PAIRS:
        answer = await api.anonymous.request(**request_of(address, CASES[address], _NAMES), headers=HOSTILE[name])
        assert _is_refused(answer), (name, address)


async def test_a_hostile_token_is_refused(api):
    """Every hostile token is refused at an address without other checks."""
    for name in HOSTILE:
        assert await _is_refused_by_its_name(api, name), name


async def test_control_without_signatures_a_forged_token_is_accepted(api, monkeypatch):
    """If signatures are not verified, the token that is signed with another secret is accepted."""

    async def believing(_, token):
        return RequestIdentity(jwt.decode(token, options={"verify_signature": False})["sub"])

    monkeypatch.setattr(JsonWebTokens, "identity_of", believing)

    with pytest.raises(AssertionError, match=r"^200 "):
        await _is_refused_by_its_name(api, "another secret")


async def _is_refused_by_its_name(api, name):
    return _is_refused(await api.anonymous.get("/api/batches", headers=HOSTILE[name]))


async def test_a_good_token_is_taken(api):
    """Control: a valid token is accepted, also within the leeway for clocks."""
    for token in (token_of(), token_of(exp=int(time.time()) - 10), token_of(aud=["other", "authenticated"])):
        assert (await api.anonymous.get("/api/batches", headers=bearer(token))).status_code == 200


async def test_two_headers_are_refused(api):
    """Two valid Authorization headers are refused, because a proxy may have checked the other one."""
    headers = [("Authorization", f"Bearer {token_of()}"), ("Authorization", f"Bearer {token_of()}")]

    assert _is_refused(await api.anonymous.get("/api/batches", headers=headers))


async def test_a_token_in_the_query_is_no_token(api):
    """A token in the query is refused, because it would appear in logs."""
    for name in ("token", "access_token", "ticket"):
        assert _is_refused(await api.anonymous.get("/api/batches", params={name: token_of()}))


async def test_unknown_addresses_look_like_known_ones(api):
    """Without a token, known and unknown addresses get the same response."""
    assert _is_refused(await api.anonymous.get("/api/none-such"))
    assert (await api.ann.get("/api/none-such")).json()["error"]["code"] == "no_such_address"


async def test_a_bad_body_without_a_token_is_not_read(api):
    """A malformed body without a token gets 401 and no details about the body."""
    answer = await api.anonymous.post("/api/batches", content=b"{", headers={"Content-Type": "application/json"})

    assert _is_refused(answer)


# -- public keys -----------------------------------------------------------------------------------------------------


def _by_keys(settings, issuer):
    return serving(settings, jwt_secret=None, issuer=None, supabase_url=issuer.project)


async def _status(api, token):
    return (await api.anonymous.get("/api/batches", headers=bearer(token))).status_code


async def test_tokens_are_verified_by_the_issuers_keys(settings, issuer):
    """Tokens are verified by the issuer's keys of every supported kind, which are fetched once."""
    issuer.add_rsa("rsa")
    async with _by_keys(settings, issuer) as api:
        assert await _status(api, issuer.token()) == 200
        assert await _status(api, issuer.token(key_id="rsa")) == 200

    assert issuer.requests == 1


async def test_a_public_key_is_no_secret(settings, issuer):
    """A token signed with HS256 and the bytes of the public key is refused."""
    issuer.add_rsa("rsa")
    public, payload = issuer.public_pem("rsa"), claims(iss=f"{issuer.project}/auth/v1")
    async with _by_keys(settings, issuer) as api:
        for head in ({"alg": "HS256", "kid": "rsa"}, {"alg": "RS256", "kid": "rsa"}, {"alg": "ES256", "kid": "rsa"}):
            assert await _status(api, _handmade_token(head, payload, public)) == 401


async def test_a_symmetric_key_among_the_keys_is_not_used(settings, issuer):
    """Symmetric keys, and keys with another use, in the issuer's list are ignored."""
    secret = b"s" * 40
    issuer.body = json.dumps({"keys": [{"kty": "oct", "kid": "o", "k": _encoded(secret), "alg": "HS256"}]}).encode()
    payload = claims(iss=f"{issuer.project}/auth/v1")
    async with _by_keys(settings, issuer) as api:
        assert await _status(api, _handmade_token({"alg": "HS256", "kid": "o"}, payload, secret)) == 401


_MALFORMED = (
    {"kty": "EC", "crv": ["P-256"], "x": "AA", "y": "AA"},
    {"kty": {"a": 1}},
    {"kty": "RSA"},
    {"kty": "RSA", "n": 5, "e": "AQAB"},
    {"kty": "RSA", "n": "", "e": ""},
    {"kty": "RSA", "n": "€", "e": "AQAB"},
    {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
    {"kty": "EC", "crv": "P-256", "x": None, "y": None},
    {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
    {"kty": "OKP", "crv": "Ed25519", "x": [1]},
)


async def test_malformed_keys_lock_no_one_out(settings, issuer, monkeypatch, caplog):
    """The issuer's other keys keep working, and the log names each malformed key once."""
    monkeypatch.setattr("backstay.server.auth.jwks._MIN_INTERVAL_SECONDS", 0.0)
    malformed = [{"kid": f"bad-{number}", **described} for number, described in enumerate(_MALFORMED)]
    whole = json.loads(issuer.jwks())["keys"]
    issuer.body = json.dumps({"keys": [*malformed, None, 5, {"kid": 7}, *whole]}).encode()
    async with _by_keys(settings, issuer) as api:
        assert await _status(api, issuer.token()) == 200
        assert (
            await _status(api, _handmade_token({"alg": "ES256", "kid": "unknown"}, claims())) == 401
        )  # they are fetched again
        assert await _status(api, issuer.token()) == 200

    assert issuer.requests == 2
    key_ids = [record.key_id for record in caplog.records if record.message == "key_malformed"]
    assert key_ids == [key["kid"] for key in malformed]


def test_versions_of_the_library_with_known_flaws_are_not_installed():
    """The installed PyJWT is at least 2.13, because earlier versions have known flaws in token checks."""
    (needed,) = [
        requirement
        for requirement in map(
            Requirement, tomllib.loads(_PROJECT.read_text())["project"]["optional-dependencies"]["server"]
        )
        if requirement.name.lower() == "pyjwt"
    ]

    assert [version for version in ("2.10.0", "2.11.0", "2.12.1") if needed.specifier.contains(version)] == []


async def test_rotated_keys_are_found(settings, issuer, monkeypatch):
    """A token with a new key makes the server fetch the keys again, which invalidates the old key."""
    monkeypatch.setattr("backstay.server.auth.jwks._MIN_INTERVAL_SECONDS", 0.0)
    async with _by_keys(settings, issuer) as api:
        old = issuer.token()
        assert await _status(api, old) == 200
        issuer.rotate("second")

        assert await _status(api, issuer.token()) == 200
        assert await _status(api, old) == 401


async def test_keys_are_kept_while_the_issuer_is_down(settings, issuer, monkeypatch):
    """Cached keys stay valid while the issuer is down, even if they are due for a fetch."""
    monkeypatch.setattr("backstay.server.auth.jwks._FRESH_SECONDS", 0.0)
    monkeypatch.setattr("backstay.server.auth.jwks._MIN_INTERVAL_SECONDS", 0.0)
    async with _by_keys(settings, issuer) as api:
        assert await _status(api, issuer.token()) == 200
        for status, body in ((500, b"down"), (200, b"<html>"), (200, b'{"keys":7}'), (200, b"x" * 300_000), (302, b"")):
            issuer.status, issuer.body = status, body
            assert await _status(api, issuer.token()) == 200
            await until(api.state.authenticator._keys._fetching.done)  # the fetch has failed
            assert await _status(api, issuer.token()) == 200


async def test_without_any_key_tokens_get_503(settings, issuer):
    """Without any key a token gets 503 instead of 401, so that clients keep it."""
    issuer.status = 500
    async with _by_keys(settings, issuer) as api:
        answer = await api.anonymous.get("/api/batches", headers=bearer(issuer.token()))

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "auth_unavailable")
    assert "retry-after" in answer.headers


async def test_redirects_of_the_issuer_are_not_followed(settings, issuer):
    """Keys are fetched only from the configured address, without following redirects."""
    other = Issuer()
    issuer.status, issuer.body, issuer.location = 302, b"", other.url
    async with _by_keys(settings, issuer) as api:
        assert await _status(api, issuer.token()) == 503
    assert other.requests == 0
    other.close()


async def test_a_slow_issuer_is_not_waited_for_by_others(settings, issuer, monkeypatch):
    """While the issuer is slow, tokens with known keys are accepted, and others get a response after the timeout."""
    monkeypatch.setattr("backstay.server.auth.jwks._MIN_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr("backstay.server.auth.jwks._TIMEOUT_SECONDS", PATIENCE_SECONDS)
    async with _by_keys(settings, issuer) as api:
        good = issuer.token()
        assert await _status(api, good) == 200
        with _slow(issuer):
            issuer.rotate("second", keep=True)
            waiting = asyncio.create_task(_status(api, issuer.token()))
            await until(lambda: issuer.requests == 2)

            assert await _status(api, good) == 200
            assert not waiting.done()
        assert await waiting == 200

        monkeypatch.setattr("backstay.server.auth.jwks._TIMEOUT_SECONDS", 0.3)
        with _slow(issuer):
            issuer.rotate("third", keep=True)
            assert await _status(api, issuer.token()) == 401


@contextmanager
def _slow(issuer):
    """Make the issuer delay its responses within this context."""
    may_answer, keys = threading.Event(), issuer.jwks
    issuer.jwks = lambda: may_answer.wait(PATIENCE_SECONDS) and keys()
    try:
        yield
    finally:
        del issuer.jwks
        may_answer.set()


@pytest.mark.sweep
async def test_a_flood_of_unknown_keys_is_one_request(settings, issuer):
    """Many tokens with unknown keys cause only one request to the issuer."""
    async with _by_keys(settings, issuer) as api:
        assert await _status(api, issuer.token()) == 200
        payload = claims(iss=f"{issuer.project}/auth/v1")
        tokens = [
            _handmade_token({"alg": "ES256", "kid": f"k{number}"}, payload)
            for number in range(len(sample(list(range(5_000)), 200)))
        ]

        statuses = await asyncio.gather(*(_status(api, token) for token in tokens))

        assert set(statuses) == {401}
        assert await _status(api, issuer.token()) == 200
    assert issuer.requests <= 2


async def test_a_cancelled_request_leaves_the_fetch_to_others(settings, issuer):
    """A request that is cancelled during a fetch of keys does not cancel the fetch for others."""
    async with _by_keys(settings, issuer) as api:
        with _slow(issuer):
            first = asyncio.create_task(_status(api, issuer.token()))
            await until(lambda: issuer.requests == 1)
            second = asyncio.create_task(_status(api, issuer.token()))
            await asyncio.sleep(0)
            first.cancel()
            await asyncio.wait([first])

        assert await second == 200
    assert issuer.requests == 1
