"""What may be stored as a conversation, and its native shape."""

from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType

import pytest

from backstay.errors import InvalidConversation
from backstay.library.conversation import Conversation, validate
from backstay.library.turn import Turn
from support.data.conversations import conversation

_GOOD = conversation("tea", metadata={"a": [1, None]}, topic="tea")


@pytest.mark.parametrize(
    "good",
    [
        _GOOD,
        Conversation((Turn("user", "x"),)),
        Conversation([Turn("system", "a\tb\n\u200b\u0085 é 😀")]),
        Conversation([Turn("tool", "{}", id="call-1", metadata={"name": "search"})]),
        Conversation([Turn("user", "x", metadata={})], id="a", persona="", content=""),
        Conversation([Turn("user", "x")], metadata=MappingProxyType({"a": 1})),
        Conversation([Turn("user", "x", metadata=None)], metadata=None),
        Conversation([Turn("user", "x" * 1_000_000)]),
    ],
)
def test_good_conversation_passes(good):
    """A conversation with any role, one or more turns and any valid text passes, and has a native shape."""
    validate(good)

    assert good.to_dict()["metadata"] == (good.metadata or {})


def _with_turn(**changes):
    return Conversation([Turn("user", "secret words"), replace(Turn("assistant", "more secret words"), **changes)])


def _endless():
    value = {}
    value["again"] = value
    return value


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Conversation([]), "the conversation has no turns"),
        (Conversation(()), "the conversation has no turns"),
        (Conversation(None), "the turns are a NoneType; make them a list"),
        (Conversation(Turn("user", "x") for _ in range(2)), "the turns are a generator; make them a list"),
        (Conversation({Turn("user", "x")}), "the turns are a set; make them a list"),
        (Conversation(["secret words"]), "turn 1 is a str; make it a backstay.Turn"),
        (Conversation([{"role": "user", "content": "secret words"}]), "turn 1 is a dict; make it a backstay.Turn"),
        (_with_turn(content=None), "role and content of turn 2 must be text"),
        (_with_turn(content=["secret words"]), "role and content of turn 2 must be text"),
        (_with_turn(role=5), "role and content of turn 2 must be text"),
        (_with_turn(role=""), "turn 2 has no role"),
        (_with_turn(content=""), "turn 2 is empty"),
        (_with_turn(content=" \n\t\u3000"), "turn 2 is empty"),
        (_with_turn(content="secret\x00words"), "turn 2 contains a NUL character"),
        (_with_turn(role="user\x00"), "the role of turn 2 contains a NUL character"),
        (_with_turn(content="secret \ud83d"), "turn 2 is not valid Unicode (half of a surrogate pair)"),
        (_with_turn(role="\udc80"), "the role of turn 2 is not valid Unicode (half of a surrogate pair)"),
        (_with_turn(id=5), "the id of turn 2 must be text, not int"),
        (_with_turn(id="\x00"), "the id of turn 2 contains a NUL character"),
        (_with_turn(metadata=["a"]), "the metadata of turn 2 must be a mapping, not list"),
        (replace(_GOOD, id=5), "id must be text, not int"),
        (replace(_GOOD, id=""), "the conversation's id is empty; leave it out to have one generated"),
        (replace(_GOOD, topic=["secret words"]), "topic must be text, not list"),
        (replace(_GOOD, persona="secret\x00"), "persona contains a NUL character"),
        (replace(_GOOD, content="secret \udfff"), "content is not valid Unicode (half of a surrogate pair)"),
        (replace(_GOOD, metadata="secret words"), "the metadata must be a mapping, not str"),
    ],
)
def test_bad_conversation_is_refused(bad, message):
    """A bad conversation is refused with a message that names the field, never the text."""
    with pytest.raises(InvalidConversation) as caught:
        validate(bad)

    assert caught.value.message == message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "metadata",
    [
        {"a": float("nan")},
        {"a": {1, 2}},
        {"a": datetime(2024, 1, 1, tzinfo=UTC)},
        {1: "a"},
        {"a": "\ud800"},
        _endless(),
    ],
    ids=["nan", "set", "date", "key", "surrogate", "endless"],
)
@pytest.mark.parametrize("of_turn", [False, True])
def test_metadata_that_json_cannot_say_is_refused(metadata, of_turn):
    """Metadata that JSON cannot represent is refused, both of a conversation and of a turn."""
    bad = _with_turn(metadata=metadata) if of_turn else replace(_GOOD, metadata=metadata)

    with pytest.raises(InvalidConversation, match=r"^the metadata( of turn 2)? cannot be stored as JSON: "):
        validate(bad)


def test_native_shape_is_complete():
    """The native shape has every field, turns numbered from 1 and times in UTC."""
    conversation = Conversation(
        [Turn("user", "a"), Turn("assistant", "b", id="t2", metadata={"model": "m"})],
        id="c1",
        topic="tea",
        persona="a monk",
        content="summary",
        metadata={"k": 1},
        job_id="job",
        item_id="item-1",
        created_at=datetime(2024, 2, 29, 13, 0, 0, 5, tzinfo=timezone(timedelta(hours=1))),
        updated_at=datetime(2024, 3, 1, tzinfo=UTC),
    )

    assert conversation.to_dict() == {
        "id": "c1",
        "topic": "tea",
        "persona": "a monk",
        "content": "summary",
        "metadata": {"k": 1},
        "job_id": "job",
        "item_id": "item-1",
        "created_at": "2024-02-29T12:00:00.000005Z",
        "updated_at": "2024-03-01T00:00:00.000000Z",
        "conversation_turns": [
            {"id": None, "sequence": 1, "role": "user", "content": "a", "metadata": {}},
            {"id": "t2", "sequence": 2, "role": "assistant", "content": "b", "metadata": {"model": "m"}},
        ],
    }


@pytest.mark.parametrize(
    "other",
    [
        replace(_GOOD, id="x"),
        replace(_GOOD, metadata={"a": [1]}),
        replace(_GOOD, turns=list(reversed(_GOOD.turns))),
        replace(_GOOD, turns=_GOOD.turns[:1]),
        replace(_GOOD, turns=[replace(_GOOD.turns[0], role="system"), _GOOD.turns[1]]),
        replace(_GOOD, turns=[replace(_GOOD.turns[0], metadata={"a": 1}), _GOOD.turns[1]]),
        replace(_GOOD, created_at=datetime(2024, 1, 1, tzinfo=UTC)),
    ],
)
def test_digest_covers_everything(other):
    """The digest changes with any field, any turn and the order of turns."""
    assert other.digest() != _GOOD.digest()


def test_digest_is_of_the_content():
    """Equal conversations have the same digest, whatever the type of the sequence of turns."""
    assert replace(_GOOD, turns=tuple(_GOOD.turns)).digest() == _GOOD.digest()


def test_nouns_are_frozen():
    """A conversation and its turns cannot be changed after they were checked."""
    with pytest.raises(FrozenInstanceError):
        _GOOD.topic = "coffee"
    with pytest.raises(FrozenInstanceError):
        _GOOD.turns[0].content = "coffee"
