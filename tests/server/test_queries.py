"""Unknown query parameters and form fields are refused at every address, and known ones are accepted."""

import pytest

from support.servers.api import ENOUGH, cookied, libraries, serving
from support.servers.route_requests import CASES, OPEN, PAGES, addresses, description, filled, request_of, routes

settings = libraries(ENOUGH)

_FILES = ("/static/{name}", "/openapi.json")
_NAMES = {"jobId": "j", "itemId": "i", "conversationId": "c", "backupId": "backup-1-a", "new": "made"}


async def test_every_address_refuses_a_parameter_it_does_not_have(api):
    """Every address answers an unknown parameter with 422 naming it, and does nothing."""
    for address in addresses():
        request = request_of(address, CASES.get(address) or CASES["GET /api/batches"], _NAMES)

        answer = await api.ann.request(**request, params={"surely-not": "1"})

        assert answer.status_code == 422, (address, answer.text)
        error = answer.json()["error"]
        assert (error["code"], error["details"]["fields"][0]["field"]) == ("invalid_request", "surely-not"), address
    assert (await api.ann.get("/api/batches")).json()["jobs"] == []


async def test_every_address_takes_the_parameters_it_describes(api):
    """Described parameters are accepted, one at a time and all together."""
    tried = 0
    for path, methods in description()["paths"].items():
        for method, operation in methods.items():
            known = [parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"]
            for names in (known, *([name] for name in known)):
                answer = await api.ann.request(method, filled(path, _NAMES), params=dict.fromkeys(names, "1"))
                assert "nknown query parameter" not in answer.text, (method, path, names)
                tried += len(names)
    assert tried > 20


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("/api/batches?limt=5", "limt: Unknown query parameter; did you mean limit?"),
        ("/api/batches?Limit=5", "Limit: Unknown query parameter; did you mean limit?"),
        ("/api/batches?zzz=5", "zzz: Unknown query parameter; known parameters: incomplete, cursor, limit"),
        ("/api/conversations?job_id=a", "job_id: Unknown query parameter; did you mean jobId?"),
        ("/api/batches/j?limit=5", "limit: This address has no query parameters"),
        ("/healthz?limit=5", "limit: This address has no query parameters"),
    ],
)
async def test_the_nearest_parameter_is_named(api, address, message):
    """The message names the unknown parameter and the closest known one."""
    answer = await api.ann.get(address)

    assert (answer.status_code, answer.json()["error"]["message"]) == (422, message)


async def test_each_unknown_parameter_is_named(api):
    """Each unknown parameter is listed as a field, and known ones are not."""
    answer = await api.ann.get("/api/batches?limit=5&a=1&b=2&a=3")

    assert [field["field"] for field in answer.json()["error"]["details"]["fields"]] == ["a", "b"]


_WITH_FORMS = [address for address, case in CASES.items() if case.files is not None]


@pytest.mark.parametrize("address", _WITH_FORMS)
@pytest.mark.parametrize(
    ("name", "hint"),
    [("onBadrow", "did you mean onBadRow?"), ("on_bad_row", "did you mean onBadRow?"), ("zzz", "known fields: file, ")],
)
async def test_every_form_refuses_a_field_it_does_not_have(api, address, name, hint):
    """A misspelt form field is refused with the nearest known one, and nothing is stored."""
    request = request_of(address, CASES[address], _NAMES)
    request["data"] |= {name: "skip"}

    answer = await api.ann.request(**request)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "invalid_request"), answer.text
    assert error["message"].startswith(f"{name}: Unknown form field; {hint}")
    assert [field["field"] for field in error["details"]["fields"]] == [name]
    assert (await api.ann.get("/api/batches")).json()["jobs"] == []
    assert (await api.ann.get("/api/conversations")).json()["conversations"] == []


async def test_an_unknown_file_of_a_form_is_refused(api):
    """A file in a form field other than `file` is refused by the name of that field, not as missing."""
    answer = await api.ann.post("/api/conversations/import", files={"files": ("c.jsonl", b"{}")})

    assert answer.json()["error"]["message"] == "files: Unknown form field; did you mean file?"


async def test_every_form_takes_the_fields_it_describes(api):
    """Described form fields are accepted, whatever their values are."""
    for address in _WITH_FORMS:
        method, _, path = address.partition(" ")
        content = description()["paths"][path][method.lower()]["requestBody"]["content"]["multipart/form-data"]
        schema = description()["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
        fields = dict.fromkeys(schema["properties"].keys() - {"file"}, "1")

        answer = await api.ann.request(method, path, files={"file": ("a.jsonl", b"{}")}, data=fields)

        assert len(fields) > 5
        assert "nknown form field" not in answer.text, address


async def test_anonymous_clients_learn_nothing_about_parameters(api):
    """A request without a token gets 401, whatever its query is."""
    assert (await api.anonymous.get("/api/batches?nope=1")).status_code == 401


async def test_every_page_refuses_a_parameter_it_does_not_have(settings):
    """A page with a misspelled filter is refused instead of listing everything."""
    async with serving(settings, local=True) as local, cookied(local) as browser:
        walked = {address for address in routes(local.app) if not address.endswith(_FILES)} - set(CASES)
        for address in sorted(walked):
            method, _, path = address.partition(" ")
            answer = await browser.request(method, path, params={"surely-not": "1"})

            assert answer.status_code == 422, (address, answer.text)
            assert "surely-not: " in answer.text, address
        misspelt = await browser.get("/conversations", params={"jobId": "x"})

    assert walked >= PAGES | OPEN | {"GET /", "GET /docs"}
    assert "jobId: Unknown query parameter; did you mean job?" in misspelt.text


async def test_scripts_take_a_version(settings):
    """Static files accept any query parameter, so that a page can add a version to bypass caches."""
    async with serving(settings, local=True) as local:
        assert (await local.anonymous.get("/static/backstay.js", params={"v": "2"})).status_code == 200
