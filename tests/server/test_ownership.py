"""No owner reaches another owner's data: cases generated from the OpenAPI document."""

from itertools import pairwise

import pytest

from backstay.server import ServerSettings, create_app
from backstay.settings import Settings
from support.servers.api import ANN, LOCAL
from support.servers.route_requests import CASES, OPEN, PAGES, SIGNING, addresses, description, request_of, routes

pytestmark = pytest.mark.promise("K4")

_NAMED = [address for address, case in CASES.items() if case.names != "nothing"]
_LISTS = [address for address, case in CASES.items() if case.names == "nothing" and address.startswith("GET")]


def _app(tmp_path):
    return create_app(Settings(here=tmp_path), ServerSettings(), token=LOCAL)


def test_every_address_has_a_case():
    """Every address of the API has a case in these tests."""
    assert set(addresses()) == set(CASES) | OPEN


def test_every_route_is_described(tmp_path):
    """Every route except the pages and the OpenAPI document itself is described."""
    open_to_all = {"GET /", "GET /docs", "GET /static/{name}", "GET /openapi.json", "HEAD /openapi.json"}

    assert set(routes(_app(tmp_path))) - PAGES - SIGNING - open_to_all == set(CASES) | OPEN


async def _owned(api, number=0):
    """Create a job, a conversation and a backup for Ann, with unguessable names."""
    (conversation,) = await api.made(1, job_id=f"anns-{number}")
    created = await api.ann.post("/api/backup/create", json={"conversationIds": [conversation]})
    backup = created.json()["backupId"]
    names = {"jobId": f"anns-{number}", "itemId": "i0", "conversationId": conversation, "backupId": backup}
    return {**names, "new": f"new-{number}"}


async def test_ones_own(api):
    """An owner can reach all of their own data, and each response has a described type."""
    for number, (address, case) in enumerate(CASES.items()):
        names = await _owned(api, number)

        answer = await api.ann.request(**request_of(address, case, names))

        assert answer.status_code in case.own, (address, answer.text)
        assert str(answer.status_code) in _described(address)["responses"], address


async def test_data_of_others_looks_missing(api):
    """Another owner's data gets the same response as missing data, and does not change."""
    await _check_that_foreign_looks_missing(api)


async def test_control_without_owners_data_of_others_is_found(api, monkeypatch):
    """If every request is served as Ann's, Bob's requests for her data differ from those for missing data."""
    every = api.state.backstay.for_owner
    monkeypatch.setattr(type(api.state.backstay), "for_owner", lambda _, __, *more, **named: every(ANN, *more, **named))

    with pytest.raises(AssertionError, match=r"^GET /api/batches/{jobId} reaches data of another owner: 200"):
        await _check_that_foreign_looks_missing(api)


async def _check_that_foreign_looks_missing(api):
    names = await _owned(api)
    missing = {name: f"missing-{name}" for name in names}
    before = await _everything(api, names)

    for address in _NAMED:
        case = CASES[address]
        foreign = await api.bob.request(**request_of(address, case, names))
        absent = await api.bob.request(**request_of(address, case, missing))

        assert foreign.status_code == case.foreign, f"{address} reaches data of another owner: {foreign.status_code}"
        assert absent.status_code == case.foreign, (address, absent.text)
        assert _words(foreign, names) == _words(absent, missing), address
        assert await _everything(api, names) == before, address


async def test_lists_hold_ones_own_only(api):
    """Lists show Bob none of Ann's data."""
    names = await _owned(api)

    for address in _LISTS:
        listed = await api.bob.request(**request_of(address, CASES[address], names))

        assert listed.status_code == 200, address
        assert not [name for name in names.values() if f'"{name}"' in listed.text and name != "new-0"], address


async def test_an_owner_in_a_request_counts_for_nothing(api):
    """An owner in a header is ignored, and an owner in a query or body is refused."""
    names = await _owned(api)

    for number, (address, case) in enumerate(CASES.items()):
        request = request_of(address, case, {**names, "new": f"bobs-{number}"})
        request["headers"] = {"X-Owner": ANN, "X-User-Id": ANN}

        refused = await api.bob.request(**request, params={"owner": ANN, "userId": ANN})
        answer = await api.bob.request(**request)

        assert refused.status_code == 422, (address, refused.text)
        expected = case.own if case.names == "nothing" else (case.foreign,)
        assert answer.status_code in expected, (address, answer.text)
        assert "topic 0" not in answer.text, address


async def test_a_body_that_names_an_owner_is_refused(api):
    """A body with an owner field of any name is refused."""
    names = await _owned(api)

    for address, case in CASES.items():
        if case.body is not None:
            for field in ("owner", "userId", "user_id"):
                request = request_of(address, case, names)
                request["json"] = {**request["json"], field: ANN}
                assert (await api.bob.request(**request)).status_code == 422, (address, field)


def _described(address):
    method, _, path = address.partition(" ")
    return description()["paths"][path][method.lower()]


def _words(answer, names):
    text = answer.text
    for value in sorted(names.values(), key=len, reverse=True):
        text = text.replace(value, "…")
    return text


async def _everything(api, names):
    responses = [
        await api.ann.get(address)
        for address in (
            f"/api/batches/{names['jobId']}",
            f"/api/conversations/{names['conversationId']}",
            f"/api/backups/{names['backupId']}",
            "/api/backups",
            "/api/conversations",
            "/api/batches",
        )
    ]
    return [answer.json() for answer in responses]


async def test_cursors_do_not_count_what_others_store(api):
    """Paging returns every own object once, and cursors reveal nothing about other owners."""
    for number in range(6):
        await _owned(api, number)
        await api.made(number + 1, job_id=f"bobs-{number}", client=api.bob)
    owned = api.state.backstay.for_owner(ANN)
    lists = {
        "conversations": [conversation.cursor for conversation in await owned.conversations.list()],
        "batches": [job.key for job in await owned.batches.list()],
        "backups": [backup.key for backup in await owned.backups.list()],
    }

    for name, keys in lists.items():
        whole = (await api.ann.get(f"/api/{name}")).json()
        rows = next(value for value in whole.values() if isinstance(value, list))
        assert len(rows) == 6
        paged, cursors = [], []
        more = {}
        while more is not None:
            page = (await api.ann.get(f"/api/{name}", params={"limit": 1, **more})).json()
            paged += next(value for value in page.values() if isinstance(value, list))
            cursors.append(page["nextCursor"])
            more = {"cursor": page["nextCursor"]} if page["nextCursor"] is not None else None

        assert paged == rows
        assert not set(keys) & set(cursors)
        # Cursors are as far apart as random 52-bit numbers, while the keys are a few rows apart.
        assert all(abs(cursor - other) > 1_000_000 for cursor, other in pairwise(cursors[:-1]))
        assert all("cursor" not in row for row in rows)
