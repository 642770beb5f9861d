"""Backup lines serialised by the database equal those made in Python, to the byte."""

import json

import pytest

from backstay.library.record import digest_of_document
from backstay.library.selection import Selection
from backstay.storage.sql import conversation_records
from support.stores.jobs import OWNER

pytestmark = pytest.mark.promise("K2")

_AWKWARD = "".join(map(chr, range(1, 0x180))) + '\\"/\u2028\u2029\ufeff\uffff\U0001f600e\u0301 },\n{'
_METADATA = (
    None, "", "{}", "[]", "null", "text", '{"a":1}', '{"b":1,"a":{"z":0,"y":[{}]}}', '{"a": 1}', '{"a":1,"a":2}',
    '{"a":1},"sequence":{"b":2}', '{"a":1e400}', '{"a":1.0}', '{"a":12345678901234567890}', '{"a":"\\u00e9"}',
    '{"a":"\\ud800"}', '{"é":"\u2028"}', '{"a":NaN}', "{" * 2_000, '{"a":' + "[" * 200 + "]" * 200 + "}", _AWKWARD,
)  # fmt: skip


def _insert(store, number, *, metadata, turns=(), **columns):
    values = {"topic": None, "persona": None, "content": None, "job_id": None, "item_id": None, **columns}
    store.sql(
        "INSERT INTO conversations (key, owner, id, topic, persona, content, metadata, job_id, item_id, created_at,"
        " updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        number, OWNER, f"c{number}{values['topic'] or ''}", values["topic"], values["persona"], values["content"],
        metadata, values["job_id"], values["item_id"], "2025-06-02", "",
    )  # fmt: skip
    for sequence, turn_id, role, content, its_metadata in turns:
        store.sql(
            "INSERT INTO turns (conversation_key, sequence, owner, id, role, content, metadata)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            number, sequence, OWNER, turn_id, role, content, its_metadata,
        )  # fmt: skip


async def _records(store):
    async with store.backups.creation.snapshot(OWNER, Selection(everything=True)) as snapshot:
        return [record async for chunk in snapshot.chunks() for record in chunk]


async def _made_of_values(store, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(conversation_records, "find_by_keys", conversation_records._from_values)
        return await _records(store)


@pytest.fixture
def library(store):
    """Store rows with every kind of value, with turns stored out of order, and with none."""
    for number, metadata in enumerate(_METADATA, start=1):
        turns = [(3, None, "user", "", metadata), (1, "t", _AWKWARD, "first", None), (2, "", "", _AWKWARD, "{}")]
        _insert(store, number, metadata=metadata, turns=turns[: number % 4])
    _insert(store, 90, metadata=None, topic=_AWKWARD, persona="", content=_AWKWARD, job_id="j", item_id=_AWKWARD)
    _insert(store, 91, metadata=None, turns=[(n, None, "user", str(n), None) for n in (12, 2, 1, 11, 10, 3)])
    store.is_left_unchecked = True  # Backstay itself never writes such rows
    return store


@pytest.mark.own_tables("it stores values that user columns cannot hold")
async def test_lines_are_those_of_the_values(library, monkeypatch):
    """Lines, digests and numbers of turns are the same whether the database or Python makes them."""
    made = await _records(library)

    assert made == await _made_of_values(library, monkeypatch)
    assert [record.key for record in made] == sorted(record.key for record in made)
    assert [turn["sequence"] for turn in json.loads(made[-1].line)["conversation_turns"]] == [1, 2, 3, 10, 11, 12]


@pytest.mark.own_tables("it stores values that user columns cannot hold")
async def test_digests_are_those_of_what_the_lines_say(library):
    """The digest computed from a decoded line equals the recorded one."""
    made = await _records(library)

    assert all(record.digest == digest_of_document(json.loads(record.line)) for record in made)


@pytest.mark.own_tables("it stores values that user columns cannot hold")
async def test_a_few_are_found_by_their_ids(library):
    """A snapshot of a few ids has the same lines as one of the whole library."""
    everything = {record.id: record for record in await _records(library)}
    selected_ids = tuple(everything)[3:7]

    async with library.backups.creation.snapshot(OWNER, Selection(ids=selected_ids)) as snapshot:
        selected = [record async for chunk in snapshot.chunks() for record in chunk]

    assert selected == [everything[name] for name in selected_ids]
