"""Edits of stored conversations: what changes, what stays, and the versions that are kept."""

import asyncio
from dataclasses import replace

import pytest

from backstay.errors import (
    ConversationChanged,
    ConversationNotFound,
    EditBlocked,
    InvalidConversation,
    VersionNotFound,
)
from backstay.library.conversation import Conversation
from backstay.library.edit_plan import Edit, is_same
from backstay.library.lists import ConversationLists
from backstay.library.selection import Selection
from backstay.library.turn import Turn
from backstay.storage.sql import edits
from support.data.conversations import conversation, with_tools
from support.stores.jobs import OWNER, keep

_TURNS = [Turn("system", "Be kind."), Turn("user", "Hi"), Turn("assistant", "Hello"), Turn("user", "Bye")]


@pytest.fixture
async def edit(store):
    """Return a function that edits the conversation `c`."""

    async def edit(expected=None, editor=None, **changes):
        return await store.edits.edit(OWNER, "c", Edit(**changes), expected=expected, editor=editor)

    return edit


@pytest.fixture
async def stored(store):
    """Return the stored conversation `c`, of four turns."""
    await keep(store, Conversation(_TURNS, id="c", topic="T", persona="P", metadata={"a": 1}))
    return await store.conversations.conversation(OWNER, "c")


async def _read(store):
    return await store.conversations.conversation(OWNER, "c")


async def _numbers(store):
    return [version.number for version in await store.edits.versions(OWNER, "c")]


@pytest.mark.parametrize(
    "turns",
    [
        [*_TURNS[:2], Turn("assistant", "Good day"), _TURNS[3]],
        [*_TURNS[:2], Turn("system", "Hello"), _TURNS[3]],
        [Turn("developer", "New"), *_TURNS],
        [*_TURNS[:2], Turn("user", "New"), Turn("assistant", "New"), *_TURNS[2:]],
        [*_TURNS, Turn("assistant", "New")],
        _TURNS[1:],
        [_TURNS[0], _TURNS[3]],
        _TURNS[:1],
        _TURNS[::-1],
        [_TURNS[1], _TURNS[0], *_TURNS[2:]],
        [_TURNS[1], Turn("system", "Edited and moved"), *_TURNS[2:]],
        [_TURNS[2], _TURNS[0], _TURNS[3], _TURNS[1]],
        [_TURNS[3], Turn("assistant", "Other"), _TURNS[0], Turn("user", "New"), Turn("tool", "Yes")],
        [Turn("user", "All"), Turn("assistant", "new")],
    ],
)
async def test_edited_turns_are_stored_in_order(store, stored, edit, turns):
    """After any edit of the turns the conversation has exactly these turns, and reverting brings back the others."""
    edited = await edit(turns=turns)

    assert [(turn.role, turn.content) for turn in edited.turns] == [(turn.role, turn.content) for turn in turns]
    assert await _read(store) == edited
    assert await store.edits.version(OWNER, "c", 1) == stored
    reverted = await store.edits.revert(OWNER, "c", to=1, expected=edited.digest(), editor=None)
    assert is_same(reverted, stored)
    assert replace(reverted, updated_at=stored.updated_at) == stored
    assert await _numbers(store) == [1, 2]
    assert await store.edits.version(OWNER, "c", 2) == edited


async def test_edit_of_topic_and_persona(store, stored, edit):
    """An edit of the topic and the persona leaves everything else as it was, except the time of the change."""
    store.clock.move(60)

    edited = await edit(topic="ü\u2028", persona=None)

    expected = replace(stored, topic="ü\u2028", persona=None, updated_at=edited.updated_at)
    assert await _read(store) == edited == expected
    assert edited.updated_at > stored.updated_at


async def test_edit_without_a_change_keeps_no_version(store, stored, edit):
    """An edit that changes nothing stores nothing, so that one whose reply was lost can be repeated."""
    before = store.sql("SELECT * FROM conversations"), store.sql("SELECT * FROM turns")
    store.clock.move(60)

    again = await edit(expected="0" * 64, turns=[Turn(turn.role, turn.content) for turn in _TURNS], topic="T")

    assert again == stored
    assert (store.sql("SELECT * FROM conversations"), store.sql("SELECT * FROM turns")) == before
    assert await _numbers(store) == []


async def test_other_fields_of_turns_stay_to_the_byte(store, edit):
    """The stored metadata of turns that are not edited, or of which only the text is, stay as they were."""
    await keep(store, replace(with_tools(), id="c"))
    stored = await _read(store)
    before = dict(store.sql("SELECT sequence, metadata FROM turns ORDER BY sequence"))
    turns = [replace(turn, content=f"{turn.content} edited") if turn.parts else turn for turn in stored.turns]

    edited = await edit(turns=[*turns, Turn("assistant", "New")])

    after = dict(store.sql("SELECT sequence, metadata FROM turns ORDER BY sequence"))
    assert {number: after[number] for number in before} == before
    assert edited.turns[1].current_parts is None
    assert edited.turns[1].outdated_parts == stored.turns[1].parts


async def test_versions_name_editors_and_times(store, stored, edit):
    """The list of versions says who replaced each one and when."""
    store.clock.move(60)
    first = await edit(topic="1", editor="Ann")
    second = await edit(topic="2", expected=first.digest())

    versions = await store.edits.versions(OWNER, "c")

    assert [(version.number, version.editor) for version in versions] == [(1, "Ann"), (2, None)]
    assert versions[0].replaced_at == first.to_dict()["updated_at"]
    assert [await store.edits.version(OWNER, "c", number) for number in (1, 2, 3)] == [stored, first, second]
    for number in (0, 4, -1):
        with pytest.raises(VersionNotFound, match=f"'c' has no version {number}"):
            await store.edits.version(OWNER, "c", number)


async def test_revert_goes_back_one_version(store, stored, edit):
    """Reverting twice brings back what was reverted first, and all versions stay."""
    edited = await edit(topic="1")

    first = await store.edits.revert(OWNER, "c", to=None, expected=None, editor=None)
    second = await store.edits.revert(OWNER, "c", to=None, expected=first.digest(), editor="Bob")

    assert (first.topic, second.topic) == ("T", "1")
    assert is_same(second, edited)
    assert await _numbers(store) == [1, 2, 3]
    same = await store.edits.revert(OWNER, "c", to=4, expected=None, editor=None)
    assert (same, await _numbers(store)) == (second, [1, 2, 3])


async def test_conversation_without_edits_has_nothing_to_revert(store, stored):
    """A conversation that was not edited has no version before its first."""
    with pytest.raises(VersionNotFound, match="'c' has no version before its first"):
        await store.edits.revert(OWNER, "c", to=None, expected=None, editor=None)


async def test_second_editor_is_refused(store, stored, edit):
    """An edit of a conversation that was changed since it was read stores nothing."""
    await edit(topic="first", expected=stored.digest())
    before = store.sql("SELECT * FROM conversations"), store.sql("SELECT * FROM turns")

    with pytest.raises(
        ConversationChanged, match="'c' was changed since it was read; the edit was not stored"
    ) as caught:
        await edit(topic="second", expected=stored.digest())

    assert caught.value.context["found"] == (await _read(store)).digest()
    assert (store.sql("SELECT * FROM conversations"), store.sql("SELECT * FROM turns")) == before
    assert await _numbers(store) == [1]


async def test_only_one_of_many_editors_wins(store, stored):
    """Of eight edits of the same version at once exactly one is stored, and each other editor is told."""
    edits = [
        store.edits.edit(OWNER, "c", Edit(topic=str(number)), expected=stored.digest(), editor=None)
        for number in range(8)
    ]

    results = await asyncio.gather(*edits, return_exceptions=True)

    (winner,) = [result for result in results if isinstance(result, Conversation)]
    assert [type(result) for result in results if result is not winner] == [ConversationChanged] * 7
    assert await _read(store) == winner
    assert await _numbers(store) == [1]


async def test_without_the_comparison_the_last_editor_wins(store, stored):
    """Control: without the version that was read, all eight edits are stored one after another."""
    edits = [store.edits.edit(OWNER, "c", Edit(topic=str(number)), expected=None, editor=None) for number in range(8)]

    await asyncio.gather(*edits)

    assert await _numbers(store) == list(range(1, 9))


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([], "the conversation has no turns"),
        ([Turn("user", " ")], "turn 1 is empty"),
        ([*_TURNS, Turn("assistant", "a\x00")], "turn 5 contains a NUL character"),
        ([*_TURNS[:3], Turn("user", "\ud800")], "turn 4 is not valid Unicode"),
        ([Turn("", "text"), *_TURNS[1:]], "turn 1 has no role"),
        (
            [Turn("User", "Hi")],
            "turn 1 has the role .*, which no format knows; use system, developer, user, assistant",
        ),
        ([Turn("user", "Hi", metadata={"a": float("nan")})], "the metadata of turn 1 cannot be stored as JSON"),
        ([Turn("user", "Hi", id="a"), Turn("user", "Ho", id="a")], "turns 1 and 2 have the same id"),
        (["Hi"], "turn 1 is a str"),
    ],
)
async def test_invalid_edit_is_refused(store, stored, edit, turns, message):
    """An edit that cannot be stored names the turn in one line, and stores nothing."""
    with pytest.raises(InvalidConversation, match=f"^The edit cannot be stored: {message}") as caught:
        await edit(turns=turns)

    assert "\n" not in caught.value.message
    assert await _read(store) == stored
    assert await _numbers(store) == []


async def test_role_that_is_there_may_stay(store, edit):
    """A role that no format knows may be edited where the conversation has it already."""
    await keep(store, Conversation([Turn("narrator", "Once"), Turn("user", "Hi")], id="c"))

    edited = await edit(turns=[Turn("narrator", "Twice"), Turn("narrator", "more")])

    assert [turn.role for turn in edited.turns] == ["narrator", "narrator"]


async def test_hostile_texts_are_stored_as_they_are(store, stored, edit):
    """Texts with line breaks, control characters, markup and quotes come back exactly."""
    texts = [
        "a\r\nb\rc",
        "\x1b[31m\x7f",
        "<script>alert(1)</script>",
        "'; DROP TABLE turns; --",
        "\u202eabc\ufeff",
        "x" * 3_000_000,
    ]

    edited = await edit(turns=[Turn("user", text) for text in texts], topic=texts[2], persona=texts[0])

    assert [turn.content for turn in (await _read(store)).turns] == texts
    assert (edited.topic, edited.persona) == (texts[2], texts[0])


@pytest.mark.promise("K4")
async def test_foreign_conversation_is_not_found(store, stored, edit):
    """Another owner's conversation is treated like a missing one by every method, and stays as it is."""
    await edit(topic="mine")
    before = store.sql("SELECT * FROM conversations"), store.sql("SELECT * FROM conversation_versions")
    calls = [
        store.edits.edit("you", "c", Edit(topic="yours"), expected=None, editor=None),
        store.edits.revert("you", "c", to=1, expected=None, editor=None),
        store.edits.versions("you", "c"),
        store.edits.version("you", "c", 1),
        store.edits.pair("you", "c", before=None, after=None),
    ]

    for call in calls:
        with pytest.raises(ConversationNotFound, match=r"^Conversation 'c' not found$"):
            await call

    assert await store.edits.first_versions("you", ["c"]) == {}
    assert (store.sql("SELECT * FROM conversations"), store.sql("SELECT * FROM conversation_versions")) == before


async def test_first_versions_are_those_first_stored(store, stored, edit):
    """The first versions are those of edited conversations only, as they were before all edits."""
    await keep(store, conversation(id="d"), job_id="other")
    await edit(topic="1")
    await edit(topic="2")

    assert await store.edits.first_versions(OWNER, ["c", "d", "none"]) == {"c": stored}


async def test_edited_conversations_are_selected(store, stored, edit):
    """A selection of edited conversations has those with a version before the current one, in every read."""
    await keep(store, conversation(id="d"), job_id="other")
    selection = Selection(edited=True)
    assert await store.conversations.count(OWNER, selection) == 0

    await edit(topic="1")

    assert await store.conversations.count(OWNER, selection) == 1
    listed = await ConversationLists(store=store.lists, owner=OWNER).page(selection)
    page = await store.conversations.page(OWNER, selection, after=0, limit=9)
    measure = await store.backups.deletes.measure(OWNER, selection, sample=9)
    assert [each.id for each in (*listed.conversations, *page.conversations, *measure.sample)] == ["c", "c", "c"]
    assert await store.conversations.count(OWNER, Selection(edited=True, job_id="other")) == 0
    assert await store.conversations.count("you", selection) == 0


async def test_versions_have_a_limit(store, stored, edit, monkeypatch):
    """An edit is refused if the kept versions would be too large for a backup, and nothing is stored."""
    await edit(topic="first")
    monkeypatch.setattr(edits, "MAX_VERSION_BYTES", 900)

    with pytest.raises(EditBlocked, match="and a backup holds 900; the edit was not stored"):
        await edit(topic="second")

    assert (await _read(store)).topic == "first"
    assert await _numbers(store) == [1]
