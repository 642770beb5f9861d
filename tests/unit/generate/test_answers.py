"""The answers of `support/data/model_answers.py`, parsed without a network."""

import json

import pytest

from backstay.generate.answer_parser import UnusableAnswer, parse_conversation
from backstay.generate.http_client import HttpResponse
from backstay.generate.prompt import Prompt
from backstay.generate.providers import PROVIDERS
from backstay.generate.providers.provider import UnreadableResponse
from backstay.generate.reply_body import parse_object
from backstay.library.conversation import Conversation
from support.data.model_answers import INSTRUCTIONS, ROWS, AnswerRow

_PROMPT = Prompt(INSTRUCTIONS, "Write a conversation about the sea.")
_OF_SHAPE = {"wrong_shape", "unreadable_answer", "empty_answer"}


def test_the_rows_are_many_and_tell_apart():
    """Every row has a unique name, and all known providers occur."""
    assert len(ROWS) >= 110
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert len({row.provider for row in ROWS}) >= 10


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS if row.code is None])
def test_a_good_answer_is_read(row):
    """A good answer yields exactly the texts, the reasoning and the metadata of its row."""
    read = _read(row)

    assert tuple(turn.content for turn in read.turns) == row.texts
    assert read.metadata == row.metadata
    assert [turn.reasoning for turn in read.turns] == [None, row.turn_reasoning]


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS if row.code is not None])
def test_a_bad_answer_is_refused(row):
    """A bad answer fails with the code of its row, and neither message nor hint quotes it."""
    with pytest.raises((UnusableAnswer, UnreadableResponse)) as raised:
        _read(row)

    error = raised.value
    if isinstance(error, UnusableAnswer):
        assert (error.code, error.may_retry) == (row.code, row.may_retry)
        assert bool(error.hint) == (row.code in _OF_SHAPE)
        assert "sea" not in f"{error.message}{error.hint}"
    else:
        assert (row.code, row.may_retry) == ("unreadable_answer", True)


def _read(row: AnswerRow) -> Conversation:
    content = row.body if isinstance(row.body, bytes) else json.dumps(row.body).encode()
    body = parse_object(HttpResponse(row.status, {}, content))
    assert body is not None
    return parse_conversation(PROVIDERS[row.speaks].parse_answer(body), 2, _PROMPT)
