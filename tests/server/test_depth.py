"""Deeply nested JSON: refused at every entry point, while accepted data can be backed up and exported."""

import json

import pytest

from backstay import Conversation, Turn
from backstay.errors import InvalidConversation
from backstay.library.conversation import validate
from support.servers.api import ENOUGH, libraries
from support.stores.sql import ask

settings = libraries(ENOUGH)

_DEEP = [101, 200, 254, 500, 900, 960, 1_018, 1_023, 1_030, 5_000]


def _nested(levels, opening):
    closing = {"[": "]", '{"a":': "}"}[opening]
    return opening * levels + ("" if opening == "[" else "1") + closing * levels


_JSON = {"Content-Type": "application/json"}


def _items(value):
    """Yield each entry point for the parameter of an item."""
    item = f'{{"id":"i","topic":"x","p":{value}}}'
    body = f'{{"jobId":"j","items":[{item}],"processor":"scripted","start":false}}'
    yield "/api/batches", {"content": body, "headers": _JSON}
    yield "/api/batches", {"content": body, "headers": {**_JSON, "Idempotency-Key": "k"}}
    for name, content in (("r.jsonl", item), ("r.json", f"[{item}]")):
        form = {"jobId": "j", "processor": "scripted", "start": "false"}
        yield "/api/batches/upload", {"files": {"file": (name, content)}, "data": form}


def _conversations(value):
    """Yield each entry point for data that becomes metadata."""
    turn = '{"role":"user","content":"x"'
    for number, row in enumerate(
        (
            f'{{"messages":[{turn}}}],"key":{value}',
            f'{{"messages":[{turn}}}],"metadata":{{"key":{value}}}',
            f'{{"messages":[{turn},"key":{value}}}]',
            f'{{"messages":[{turn},"metadata":{{"key":{value}}}}}]',
        )
    ):
        for name, content in (("r.jsonl", f'{row},"id":"c{number}"}}'), ("r.json", f'[{row},"id":"c{number}"}}]')):
            yield "/api/conversations/import", {"files": {"file": (name, content)}}


def _others(value):
    """Yield each kind of body that accepts no such value."""
    yield "/api/backup/create", {"content": f'{{"conversationIds":{value}}}', "headers": _JSON}
    yield "/api/conversations/export", {"content": f'{{"format":{value}}}', "headers": _JSON}


@pytest.mark.parametrize("opening", ["[", '{"a":'])
async def test_deep_json_is_refused_on_every_way_in(api, opening):
    """Deeply nested JSON gets a 4xx response in the API's shape at every entry point."""
    for levels in _DEEP:
        value = _nested(levels, opening)
        for path, request in (*_items(value), *_conversations(value), *_others(value)):
            answer = await api.ann.post(path, **request)

            assert 400 <= answer.status_code < 500, (levels, path, answer.text)
            assert answer.json()["error"]["code"] in {"invalid_request", "bad_request", "invalid_row"}


async def test_json_at_the_depth_limit_is_restored(api):
    """Control: JSON at the depth limit is stored, backed up, exported and imported unchanged."""
    for path, request in (*_items(_nested(99, "[")), *_conversations(_nested(96, "["))):
        answer = await api.ann.post(path, **request)
        assert answer.status_code == 201, answer.text

    ids = [f"c{number}" for number in range(4)]
    backup = await api.ann.post("/api/backup/create", json={"conversationIds": ids})
    exported = await api.ann.post("/api/conversations/export", json={"conversationIds": ids, "format": "native"})
    again = await api.ann.post("/api/conversations/import", files={"file": ("r.jsonl", exported.content)})

    assert backup.status_code == 201, backup.text
    assert (again.status_code, again.json()["identical"]) == (201, 4), again.text


async def test_deep_metadata_that_another_program_has_stored_is_backed_up(api, settings):
    """Deep metadata that another program stored is backed up as text and restored unchanged."""
    await api.made(1)
    ask(settings.database_url, "UPDATE conversations SET metadata = ?", _nested(300, '{"a":'))
    (conversation,) = (await api.ann.get("/api/conversations")).json()["conversations"]

    plan = {"selection": {"conversationIds": [conversation["id"]]}}
    planned = await api.ann.post("/api/conversations/delete-plan", json=plan)
    gone = await api.ann.post("/api/conversations/delete", json={**plan, "digest": planned.json()["digest"]})
    back = await api.ann.post(gone.json()["undo"], json={})

    assert back.status_code == 200, back.text
    assert ask(settings.database_url, "SELECT metadata FROM conversations") == [(_nested(300, '{"a":'),)]


def test_deep_metadata_of_a_processor_is_refused():
    """Metadata of a processor is stored up to the depth limit, and beyond it is a failed attempt."""
    for levels, is_taken in ((97, True), (98, False), (300, False), (1_500, False)):
        metadata = json.loads(_nested(levels, '{"a":')) if levels < 900 else _metadata(levels)
        for conversation in (
            Conversation([Turn("user", "x")], metadata=metadata),
            Conversation([Turn("user", "x", metadata=metadata)]),
        ):
            if is_taken:
                validate(conversation)
            else:
                with pytest.raises(InvalidConversation, match="nested more than 100 levels deep"):
                    validate(conversation)


def _metadata(levels):
    value = 1
    for _ in range(levels):
        value = {"a": value}
    return value
