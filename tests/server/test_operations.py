"""Health, metrics, headers, cross-origin requests, and malformed requests."""

import json

import pytest

from backstay import errors
from backstay.errors import SettingsError, StoreGone
from backstay.server import ServerSettings, problems
from backstay.server.settings import load
from support.servers.api import LOCAL, ORIGIN, bearer, serving
from support.servers.route_requests import CASES, description, filled, request_of


async def test_health_and_readiness(api, monkeypatch):
    """The server is alive at all times, and ready while the database answers; anonymous clients see no details."""

    async def gone():
        raise StoreGone("The database /srv/secret/x.db is gone", path="/srv/secret/x.db")

    assert (await api.anonymous.get("/healthz")).json() == {"status": "ok"}
    assert (await api.anonymous.get("/readyz")).status_code == 200
    monkeypatch.setattr(api.state.backstay, "check", gone)

    answer = await api.anonymous.get("/readyz")

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_gone")
    assert "/srv" not in answer.text
    assert (await api.anonymous.get("/healthz")).status_code == 200


async def test_metrics_need_their_token(settings):
    """The token of a user does not give access to the metrics."""
    async with serving(settings, metrics_token="m" * 20) as api:
        assert (await api.anonymous.get("/metrics")).status_code == 401
        assert (await api.ann.get("/metrics")).status_code == 401
        metrics = await api.anonymous.get("/metrics", headers=bearer("m" * 20))

    assert metrics.status_code == 200
    assert metrics.headers["content-type"].startswith("text/plain")


async def test_health_and_metrics_answer_under_any_host(settings):
    """Health checks and metrics are answered under any host name, and nothing else is."""
    bound = ("/", "/docs", "/openapi.json", "/static/none.css", "/api/batches", "/readyz/", "/healthz/x")
    async with serving(settings, allowed_hosts=("api.example",), metrics_token="m" * 20) as api:
        for host in ("127.0.0.1:8717", "10.0.0.7", "evil.example", ""):
            for path in ("/healthz", "/readyz"):
                assert (await api.anonymous.get(path, headers={"Host": host})).status_code == 200, (path, host)
            metrics = await api.anonymous.get("/metrics", headers={"Host": host, **bearer("m" * 20)})
            refused = await api.anonymous.get("/metrics", headers={"Host": host})
            assert (metrics.status_code, refused.status_code) == (200, 401), host
            for path in bound:
                answer = await api.ann.get(path, headers={"Host": host})
                assert (answer.status_code, answer.json()["error"]["code"]) == (421, "wrong_host"), (path, host)

        assert (await api.ann.get("/api/batches", headers={"Host": "api.example"})).status_code == 200


async def test_metrics_have_few_labels(settings):
    """Requests for many unknown paths create no new metric labels."""
    async with serving(settings, local=True) as api:
        for number in range(50):
            await api.ann.get(f"/api/batches/job-{number}")
            await api.ann.get(f"/nowhere/{number}")
            await api.ann.request(f"VERB{number}", "/api/batches")
        metrics = (await api.ann.get("/metrics", headers=bearer(LOCAL))).text

    counted = [line for line in metrics.splitlines() if line.startswith("backstay_http_requests_total")]
    assert 'route="/api/batches/{jobId}"' in metrics
    assert "job-1" not in metrics
    assert len(counted) <= 8


async def test_every_answer_has_the_headers_of_all(api):
    """All responses have the common headers, and a request id that is safe to log is kept."""
    for answer in (
        await api.anonymous.get("/api/batches"),
        await api.ann.get("/api/batches/none"),
        await api.anonymous.get("/healthz"),
        await api.ann.get("/api/batches", headers={"X-Request-Id": "mine-1"}),
        await api.ann.get("/api/batches", headers={"X-Request-Id": "x\ny" if False else "no good!"}),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-request-id"] != "no good!"
    assert (await api.ann.get("/healthz", headers={"X-Request-Id": "mine-1"})).headers["x-request-id"] == "mine-1"


async def test_other_origins_must_be_named(settings):
    """Only configured origins may read responses, and use the cookie of a session."""
    async with serving(settings, cors_origins=("https://app.example",)) as api:
        preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        known = await api.anonymous.options("/api/batches", headers={"Origin": "https://app.example", **preflight})
        unknown = await api.anonymous.options("/api/batches", headers={"Origin": "https://evil.example", **preflight})
        refused = await api.anonymous.get("/api/batches", headers={"Origin": "https://app.example"})

    assert known.headers["access-control-allow-origin"] == "https://app.example"
    assert known.headers["access-control-allow-credentials"] == "true"
    assert "access-control-allow-origin" not in unknown.headers
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "https://app.example")


async def test_other_origins_may_read_the_headers_of_a_download(settings):
    """A page of a configured origin may read the name, the tag and the range of a backup that it downloads."""
    async with serving(settings, cors_origins=("https://app.example",)) as api:
        ids = await api.made(1)
        made = await api.ann.post("/api/backup/create", json={"conversationIds": ids})
        answer = await api.ann.get(
            f"/api/backup/download/{made.json()['backupId']}",
            params={"format": "zst"},
            headers={"Origin": "https://app.example", "Range": "bytes=0-9"},
        )

    exposed = set(answer.headers["access-control-expose-headers"].lower().split(", "))
    assert answer.status_code == 206
    assert {"content-disposition", "content-range", "accept-ranges", "etag"} <= exposed & set(answer.headers)


async def test_without_settings_no_origin_may_read(api):
    """Control: without settings, no other origin may read responses."""
    answer = await api.ann.get("/api/batches", headers={"Origin": "https://app.example"})

    assert "access-control-allow-origin" not in answer.headers


async def test_an_unexpected_error_reveals_nothing(api, monkeypatch, caplog):
    """An unexpected error gets a 500 response without details, which are in the log."""

    async def broken(*_, **__):
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr("backstay.batch.service.Batches.list", broken)

    answer = await api.ann.get("/api/batches")

    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert "secret of the inside" in caplog.text


# -- errors ----------------------------------------------------------------------------------------------------------


def _kinds():
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.BackstayError)]


_TOLD_WHOLE = {
    errors.BackstayError,
    errors.ApiKeyMissing,
    errors.ApiKeyNotAllowed,
    errors.ReadTooLong,
    errors.Stopped,
}


@pytest.mark.parametrize("kind", _kinds(), ids=lambda kind: kind.code)
def test_every_error_has_a_status_and_reveals_no_path(kind):
    """Every error has a status, and no response reveals a path of the server."""
    error = kind("It is at /srv/private/here.db", path="/srv/private/here.db", job_id="j")

    assert 400 <= problems.status_of(error) < 600
    detail = problems.message_for(error).error
    assert detail.code == kind.code
    assert "path" not in detail.details
    if problems.status_of(error) >= 500 and kind not in _TOLD_WHOLE:
        assert "/srv" not in detail.message


_BAD = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"1",
    b'"x"',
    b"\xff\xfe",
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"conversationIds":' + b"[" * 100_000,
    b'{"conversationIds":["a"],"conversationIds":["b"],"x":1}',
    b'{"conversationIds":"a"}',
    b'{"conversationIds":[1]}',
    b'{"conversationIds":[null]}',
    b'{"conversationIds":["\\ud800"]}',
    b'{"conversationIds":["a\\u0000b"]}',
    b'{"conversationIds":[""]}',
    b'{"conversationIds":[]}',
    b'{"conversationIds":{"a":1}}',
    b'{"conversationIds":["a"],"reason":"two\\nlines"}',
    b'{"conversationIds":["a"],"reason":""}',
    b'{"conversationIds":["a"],"reason":"' + b"x" * 101 + b'"}',
    b'{"jobId":"j","items":[{"topic":NaN}],"processor":"scripted"}',
    b'{"jobId":"j","items":[{"topic":"x","p":Infinity}],"processor":"scripted"}',
    b'{"jobId":"j","items":[{"topic":"x","p":1e999}],"processor":"scripted"}',
    b'{"jobId":"j","items":[{"topic":"x","p":' + b"9" * 5_000 + b'}],"processor":"scripted"}',
    b'{"jobId":"j","items":[{"topic":"\\u0000"}],"processor":"scripted"}',
    b'{"jobId":"j","items":[{"topic":"\\udfff"}],"processor":"scripted"}',
    b'{"jobId":"j","items":[{"topic":"x","p":"\\udfff"}],"processor":"scripted"}',
    b'{"jobId":"j","items":[{"topic":"x","\\u0000":"\\u0000"}],"processor":"scripted","maxAttempts":0}',
    b'{"jobId":"j","items":[{"topic":"x","p":123456789012345678901234567890}],"processor":"scripted"}',
    b'{"jobId":"j","items":[{}],"processor":"scripted"}',
    b'{"jobId":"j","items":[{"topic":" "}],"processor":"scripted"}',
    b'{"jobId":"j","items":["x"],"processor":"scripted"}',
    b'{"jobId":"","items":[{"topic":"x"}],"processor":"scripted"}',
    b'{"jobId":"a\\u0007","items":[{"topic":"x"}],"processor":"scripted"}',
    b'{"jobId":"j","items":[{"topic":"x"}],"processor":"scripted","timeoutSeconds":-1}',
    b'{"jobId":"j","items":[{"topic":"x"}],"processor":"scripted","timeoutSeconds":NaN}',
    b'{"jobId":"j","items":[{"topic":"x"}],"processor":"scripted","concurrency":"4"}',
    b'{"jobId":"j","items":[{"topic":"x"}],"processor":"scripted","start":"yes"}',
    b'{"selection":{"createdBefore":"yesterday"}}',
    b'{"selection":{"createdBefore":"2026-01-01T00:00:00"}}',
    b'{"selection":{"search":""}}',
    b'{"itemIds":[]}',
    b'{"onConflict":"never"}',
    b'{"concurrency":99999999999999999999}',
]
_WITHOUT_BODY = {"POST /api/session"}
_WITH_BODY = [
    address
    for address, case in CASES.items()
    if address.startswith("POST") and case.files is None and address not in _WITHOUT_BODY
]


async def test_malformed_bodies_are_refused(api):
    """A malformed body gets a 4xx response that names the field at every address that takes a body."""
    names = {"jobId": "j", "itemId": "i", "conversationId": "c", "backupId": "backup-1-a", "new": "n"}
    for address in _WITH_BODY:
        for body in _BAD:
            request = {**request_of(address, CASES[address], names), "content": body}
            request.pop("json", None)
            answer = await api.ann.request(**request, headers={"Content-Type": "application/json"})

            assert 400 <= answer.status_code < 500, (address, body[:80], answer.text)
            assert set(answer.json()["error"]) == {"code", "message", "details", "remedy"}
            if answer.json()["error"]["code"] == "invalid_request":
                assert all(field["field"] and field["message"] for field in answer.json()["error"]["details"]["fields"])


_IDS = ["%2e%2e", "..%2f", "a%00b", "%00", "%ff", "%ED%A0%80", "a" * 10_000, "%0d%0a", "%20", "'--", "a%2F..%2Fetc"]


async def test_ids_that_are_none_are_missing(api):
    """An invalid id anywhere in an address gets a 4xx response on every database."""
    for address in CASES:
        if "{" in address:
            for name in _IDS:
                method, _, path = address.partition(" ")
                url = path[: path.index("{")] + name + path[path.index("}") + 1 :]
                answer = await api.ann.request(method, url)
                assert 400 <= answer.status_code < 500, (address, name[:40], answer.text)
                assert set(answer.json()["error"]) == {"code", "message", "details", "remedy"}


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "limit=1.5", "cursor=-1", "cursor=9223372036854775808", "cursor=x", "limit=",
     "search=", "createdBefore=x", "jobId=a%00b", "search=%00", "persona=%00", "jobId=" + "a" * 600],
)  # fmt: skip
async def test_malformed_queries_are_refused(api, query):
    """A malformed query parameter gets 422 naming the parameter."""
    answer = await api.ann.get(f"/api/conversations?{query}")

    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["details"]["fields"][0]["field"] == query.partition("=")[0]


async def test_methods_that_an_address_does_not_take_are_refused(api):
    """An unsupported method gets 405 with the allowed methods, also where ids contain slashes."""
    names = {"jobId": "j", "itemId": "i", "conversationId": "c", "backupId": "backup-1-a"}
    every = {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "MADE-UP"}
    for path, described in description()["paths"].items():
        allowed = {method.upper() for method in described}
        for method in every - allowed:
            answer = await api.ann.request(method, filled(path, names))

            if method == "GET" and answer.status_code == 404:
                assert answer.json()["error"]["code"].endswith("_not_found"), path
                continue
            assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed"), (method, path)
            assert allowed <= set(answer.headers["allow"].split(", ")), (method, path)


@pytest.mark.parametrize(
    "path", ["/api", "/api/none", "/api/batches/j/none/x", "/none", f"{ORIGIN}//api/batches", "/api/../etc"]
)
async def test_addresses_that_are_none_are_missing(api, path):
    """An unknown address gets a 404 response in the API's shape for every method."""
    for method in ("GET", "POST", "PUT", "DELETE"):
        answer = await api.ann.request(method, path)

        assert answer.status_code in {404, 405}, (method, answer.text)
        assert set(answer.json()["error"]) == {"code", "message", "details", "remedy"}


async def test_other_media_types_are_refused(api):
    """Other media types are refused, above all forms that other sites can send without a preflight."""
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
    ):
        body = json.dumps({"conversationIds": ["a"]}).encode()
        answer = await api.ann.post("/api/backup/create", content=body, headers={"Content-Type": kind})

        assert 400 <= answer.status_code < 500
        assert "Content-Type: application/json" in answer.json()["error"]["message"]


def test_the_description_is_complete():
    """Every operation in OpenAPI has a description, security, responses and errors."""
    document = description()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["description"], where
            assert operation["operationId"], where
            if path.startswith("/api"):
                assert operation["security"], where
                assert {"401", "422", "503"} <= set(operation["responses"]), where
            for status, answer in operation["responses"].items():
                if status >= "400":
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorOut"}, where
                    assert answer["content"]["application/json"]["example"], where
    assert "HTTPValidationError" not in document["components"]["schemas"]


# -- settings --------------------------------------------------------------------------------------------------------


def _loaded(tmp_path, toml="", **environ):
    (tmp_path / "backstay.toml").write_text(toml)
    return load(here=tmp_path, environ=environ)


def test_supabase_says_everything(tmp_path):
    """The Supabase URL alone configures the issuer and the address of its keys."""
    for name in ("SUPABASE_URL", "NEXT_PUBLIC_SUPABASE_URL"):
        settings = _loaded(tmp_path, **{name: "https://p.supabase.co/"})

        assert settings.effective_auth == "jwt"
        assert settings.effective_jwks_url == "https://p.supabase.co/auth/v1/.well-known/jwks.json"
        assert settings.effective_issuer == "https://p.supabase.co/auth/v1"


def test_settings_of_file_environment_and_arguments(tmp_path):
    """Arguments override the environment, which overrides the file, and recipe paths are relative to the file."""
    settings = load(
        port=1,
        here=tmp_path,
        environ={"BACKSTAY_CORS_ORIGINS": "https://a.example, https://b.example", "BACKSTAY_PORT": "2"},
    )
    assert (settings.port, settings.cors_origins) == (1, ("https://a.example", "https://b.example"))
    recipes = _loaded(tmp_path, "[server.recipes]\nown = 'sub/own.toml'\n").recipes
    assert recipes == {"own": str(tmp_path / "sub" / "own.toml")}


@pytest.mark.parametrize(
    "toml, environ, message",
    [
        ("[server]\nmetrics_token = 'x'\n", {}, "BACKSTAY_METRICS_TOKEN"),
        ("server = 3\n", {}, "[server]"),
        ("[server]\ncleanup = 'daily'\n", {}, "cleanup"),
        ("[server]\ncors_origins = ['*']\n", {}, "*"),
        ("[server]\nrecipes = 3\n", {}, "recipes"),
        ("", {"BACKSTAY_JWT_SECRET": "short", "BACKSTAY_JWT_ISSUER": "https://i.example"}, "32 bytes"),
        ("", {"BACKSTAY_JWT_SECRET": "x" * 32}, "BACKSTAY_JWT_ISSUER"),
        ("", {"BACKSTAY_AUTH": "jwt"}, "SUPABASE_URL"),
        ("", {"BACKSTAY_AUTH": "none"}, "BACKSTAY_AUTH"),
        ("", {"SUPABASE_URL": "p.supabase.co"}, "such as https://"),
        ("", {"SUPABASE_URL": "https://"}, "such as https://"),
        ("", {"BACKSTAY_PORT": "70000"}, "BACKSTAY_PORT"),
    ],
)
def test_wrong_settings_say_what_is_wrong(tmp_path, toml, environ, message):
    """A wrong setting is reported in one line that never contains the secret."""
    with pytest.raises(SettingsError) as caught:
        _loaded(tmp_path, toml, **environ)

    assert message in caught.value.message
    assert "\n" not in caught.value.message
    assert "short" not in caught.value.message.replace("it must", "")


def test_secrets_are_not_shown():
    """Printing the settings does not reveal secrets."""
    assert "zzz" not in repr(ServerSettings(jwt_secret="z" * 40, metrics_token="z" * 40))
