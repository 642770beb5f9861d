"""The line of a conversation in a backup's file, with its review and earlier versions."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.errors import SettingsError
from backstay.library.curation import append_curation, checked_curation, curation_to_json, split_curation
from support.data.conversation_strategies import conversations

_REVIEW = {
    "note": ',"curation":{"review":{}}}',
    "rating": 4,
    "reviewed_at": "2025-06-02T09:30:00.000000Z",
    "reviewer": "ann",
    "status": "kept",
    "tags": ['"curation":{', "}}"],
}


def _version(line):
    return {"editor": None, "line": line.decode(), "number": 1, "replaced_at": "2025-06-02T09:30:00.000000Z"}


@given(conversation=conversations(), text=st.text())
def test_a_curation_is_split_off_exactly(conversation, text):
    """Whatever a conversation and its review contain, splitting a line returns the parts that it was made of."""
    document = {**conversation.to_dict(), "metadata": {"curation": {"review": {"note": text}}, "deep": [{"a": {}}]}}
    line = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    curation = curation_to_json({**_REVIEW, "note": text}, [_version(line)])

    assert split_curation(append_curation(line, curation)) == (line, curation)
    assert split_curation(append_curation(line, None)) == (line, None)
    assert orjson.loads(append_curation(line, curation))["curation"] == orjson.loads(curation)


_CURATION = {"review": _REVIEW, "versions": [_version(b"{}")]}


def test_a_curation_of_a_file_is_canonical():
    """A curation that another program has formatted is read as Backstay writes it."""
    shuffled = {name: _CURATION[name] for name in ("versions", "review")}

    assert checked_curation(shuffled) == curation_to_json(_REVIEW, [_version(b"{}")])


@pytest.mark.parametrize(
    "change",
    [
        {"other": 1},
        {"review": {**_REVIEW, "status": "good"}},
        {"review": {**_REVIEW, "rating": 6}},
        {"review": {**_REVIEW, "rating": True}},
        {"review": {**_REVIEW, "tags": "ab"}},
        {"review": {**_REVIEW, "note": "\x00"}},
        {"review": {**_REVIEW, "reviewed_at": None}},
        {"versions": [{**_version(b"{}"), "number": 2}]},
        {"versions": [_version(b"[]")]},
        {"versions": [_version(b"{")]},
        {"versions": [{**_version(b"{}"), "replaced_at": "soon"}]},
        {"versions": [{**_version(b"{}"), "replaced_at": "9999-12-31T23:59:59-12:00"}]},
        {"versions": [{**_version(b"{}"), "number": True}]},
        {"versions": [{**_version(b"{}"), "editor": {}}]},
        {"versions": [{**_version(b"{}"), "editor": 5}]},
        {"versions": [{**_version(b"{}"), "editor": "\x00"}]},
        {"review": {**_REVIEW, "reviewed_at": "9999-12-31T23:59:59-12:00"}},
    ],
    ids=str,
)
def test_another_value_is_refused(change):
    """A curation that a backup cannot hold is refused."""
    with pytest.raises((KeyError, TypeError, ValueError, SettingsError)):
        checked_curation({**_CURATION, **change})
