"""Reading stored conversations."""

import pytest

from backstay.errors import ConversationNotFound
from backstay.library.conversation import Conversation
from backstay.library.selection import Selection
from backstay.library.turn import Turn
from backstay.remedy import Remedy
from support.data.conversations import conversation
from support.stores.jobs import OWNER, keep

_ALL = Selection(everything=True)


async def _ids(store, selection=_ALL):
    return [
        stored.id for stored in (await store.conversations.page(OWNER, selection, after=0, limit=100)).conversations
    ]


async def test_conversation_is_read_back_as_it_was(store):
    """A conversation is read back with every field and its turns in order."""
    turns = [
        Turn("system", "a\r\nb\x1b \u2028 😀", id="t", metadata={"x": [1, {"y": None}]}),
        Turn("user", "  spaces  "),
        Turn("tool", "{}"),
    ]
    stored = Conversation(turns, id="c", topic="", persona="p", content="text", metadata={"ü": 2.5, "a": "\x00"})
    await keep(store, stored)

    read = await store.conversations.conversation(OWNER, "c")

    assert (read.turns, read.topic, read.persona, read.content) == (turns, "", "p", "text")
    assert read.metadata == {"ü": 2.5, "a": "\x00"}
    assert (read.job_id, read.item_id) == ("job", "item-1")


async def test_unknown_conversation_is_told(store):
    """An unknown conversation raises an error that says to list the conversations."""
    with pytest.raises(ConversationNotFound) as caught:
        await store.conversations.conversation(OWNER, "none")
    assert caught.value.remedy is Remedy.LIST_CONVERSATIONS


async def test_pages_continue_where_the_last_one_ended(store):
    """Pages give each conversation once, oldest first, and None as the cursor at the end."""
    await keep(store, *(conversation(str(n), id=f"c{n}") for n in range(7)))
    seen, after, sizes = [], 0, []

    while after is not None:
        page = await store.conversations.page(OWNER, _ALL, after=after, limit=3)
        seen += [stored.id for stored in page.conversations]
        sizes.append(len(page.conversations))
        after = page.next_cursor

    assert seen == [f"c{n}" for n in range(7)]
    assert sizes == [3, 3, 1]


async def test_page_holds_whole_conversations(store):
    """The limit of a page counts conversations, not turns."""
    long = Conversation([Turn("user", str(n)) for n in range(500)], id="long")
    await keep(store, long, conversation(id="short"))

    page = await store.conversations.page(OWNER, _ALL, after=0, limit=2)

    assert [len(stored.turns) for stored in page.conversations] == [500, 2]


async def test_page_of_nothing(store):
    """An empty library has an empty page."""
    page = await store.conversations.page(OWNER, _ALL, after=0, limit=3)

    assert (page.conversations, page.next_cursor) == ([], None)


async def test_conversations_stored_meanwhile_come_on_later_pages(store):
    """A conversation stored while paging appears on a later page."""
    await keep(store, conversation(id="a"), conversation(id="b"))
    first = await store.conversations.page(OWNER, _ALL, after=0, limit=2)
    await keep(store, conversation(id="c"), job_id="later")

    second = await store.conversations.page(OWNER, _ALL, after=first.next_cursor, limit=2)

    assert [stored.id for stored in second.conversations] == ["c"]


@pytest.mark.parametrize(
    ("selection", "ids"),
    [
        (_ALL, ["a", "b", "c", "it's"]),
        (Selection(job_id="one"), ["a", "b"]),
        (Selection(job_id="none"), []),
        (Selection(ids=("c", "a", "none", "a")), ["a", "c"]),
        (Selection(ids=("it's",)), ["it's"]),
        (Selection(ids=("a", "c"), job_id="two"), ["c"]),
        (Selection(ids=("none",)), []),
        (Selection(ids=("a",), everything=True), ["a"]),
    ],
    ids=repr,
)
async def test_selection_is_met_in_every_way(store, selection, ids):
    """All conditions of a selection apply in pages and counts alike."""
    await keep(store, conversation(id="a"), conversation(id="b"), job_id="one")
    await keep(store, conversation(id="c"), conversation(id="it's"), job_id="two")

    assert await _ids(store, selection) == ids
    assert await store.conversations.count(OWNER, selection) == len(ids)


async def test_fields_of_turns_are_found_wherever_they_are(store):
    """A selection may have fields of turns if a conversation has tools, or a turn with an id or metadata."""
    tool = {"type": "function", "function": {"name": "f"}}
    await keep(store, conversation(id="a", metadata={"writer": "scripted"}), job_id="plain")
    await keep(store, conversation(id="b", tools=[tool]), job_id="tools")
    await keep(store, conversation(id="c"), Conversation([Turn("user", "Hi", name="Ann")], id="d"), job_id="turns")
    await keep(store, Conversation([Turn("user", "Hi", id="t")], id="e"), job_id="ids")
    # The user's table of an adoption gives each turn an id.
    has_ids = any(turn.id for turn in (await store.conversations.conversation(OWNER, "a")).turns)

    found = {
        job_id: await store.conversations.may_have_turn_fields(OWNER, Selection(job_id=job_id))
        for job_id in ("plain", "tools", "turns", "ids", "none")
    }

    assert found == {"plain": has_ids, "tools": True, "turns": True, "ids": True, "none": False}
    assert await store.conversations.may_have_turn_fields(OWNER, _ALL)
    assert await store.conversations.may_have_turn_fields(OWNER, Selection(ids=("a", "c"))) is has_ids


async def test_many_ids_may_be_selected(store):
    """A selection may have as many ids as a file of ids."""
    await keep(store, conversation(id="a"), conversation(id="b"))
    selection = Selection(ids=(*(f"none-{n}" for n in range(50_000)), "b"))

    assert await _ids(store, selection) == ["b"]


async def test_reading_may_be_repeated(store):
    """Reading a page changes nothing, so that a second read is equal."""
    await keep(store, conversation(id="a"))

    assert await _ids(store) == await _ids(store)
    assert await store.conversations.conversation(OWNER, "a") == await store.conversations.conversation(OWNER, "a")


async def test_a_page_of_large_conversations_is_short(store):
    """A page ends with the conversation that makes it large; the pages together hold each conversation once, whole."""
    small = [Conversation([Turn("user", "Q")], id=f"small-{number}") for number in range(40)]
    texts = [f"{number} " + "é" * 700_000 for number in range(20)]
    large = [
        Conversation([Turn("user", text), Turn("assistant", "A", metadata={"m": text})], id=f"large-{number}")
        for number, text in enumerate(texts)
    ]
    await keep(store, *small, *large)

    pages, after = [], 0
    while after is not None:
        page = await store.conversations.page(OWNER, _ALL, after=after, limit=100)
        pages.append(page.conversations)
        after = page.next_cursor

    read = [one for page in pages for one in page]
    assert [one.id for one in read] == [one.id for one in (*small, *large)]
    assert [one.turns for one in read] == [one.turns for one in (*small, *large)]
    assert max(sum(one.id.startswith("large") for one in page) for page in pages) <= 2
