"""Lists of conversations, with and without the index that they are filtered and sorted by."""

import random
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from backstay.errors import ConversationNotFound, SettingsError
from backstay.library.conversation import Conversation
from backstay.library.conversation_index import IndexStatus
from backstay.library.lists import ConversationLists, ConversationSummary, Sort
from backstay.library.review import ReviewStatus
from backstay.library.review_change import ReviewChange
from backstay.library.reviews import Reviews
from backstay.library.selection import Selection
from backstay.library.turn import ToolCall, Turn
from support.data.conversations import conversation
from support.data.verdicts import completed
from support.stores.jobs import OWNER, acquire_lease, claim, commit, create
from support.stores.kinds import DATABASES, PARAMETERS, TRIGRAM

_ALL = Selection(everything=True)
_START = datetime(2024, 2, 29, 12, tzinfo=UTC)
_TOPICS = (None, "", "Größe", "Strasse 7", "a_b%c", "Ünïcode", "plain")
_PERSONAS = (None, "Ann", "ann the BAKER", "Ähre", "x")
_TAGS = ("good", "Köln", "it's")
_TEXTS = ("", "hello", "Grüsse aus Köln 🌍", "line\nbreak", "z" * 300, "Strasse")
_METADATA = (
    {},
    {"writer": "openai:gpt-4o-mini"},
    {"model": "m1"},
    {"writer": "w", "model": "m1"},
    {"writer": "", "model": "m1"},
    {"writer": 7, "model": ["m1"]},
    {"tools": [{"name": "search"}]},
    {"tools": []},
    {"tools": "search", "note": 'a "tools" note'},
    {"deep": {"tools": [1], "model": "m1"}},
)


_ALSO_WITH_TRIGRAMS = pytest.mark.parametrize(
    "store", [*PARAMETERS, pytest.param(TRIGRAM, id=TRIGRAM.name)], indirect=True
)
_HAS_TRIGRAMS = pytest.mark.parametrize(
    "store", [pytest.param(kind, id=kind.name) for kind in (DATABASES[0], TRIGRAM)], indirect=True
)


async def _store(store, *conversations, job_id="job"):
    """Store conversations as the results of a job, in their order."""
    await create(store, len(conversations), job_id=job_id)
    lease = await acquire_lease(store, job_id)
    held = await claim(store, lease, len(conversations))
    await commit(store, lease, *map(completed, held, conversations))
    await store.batches.work.release(lease)


def _lists(store):
    return ConversationLists(store=store.lists, owner=OWNER)


async def _index_texts(store):
    """Create the text index, on what can have one."""
    with suppress(SettingsError):
        await store.index.create_text_index()


async def _fill(store):
    while await store.index.fill(OWNER, limit=7):
        pass


def _random_turn(chance):
    calls = (ToolCall("call-1", "search", "{}"),) if chance.random() < 0.1 else ()
    return Turn(chance.choice(["user", "assistant"]), chance.choice(_TEXTS), tool_calls=calls)


def _random_conversation(chance, number):
    return Conversation(
        [_random_turn(chance) for _ in range(chance.choice([1, 2, 2, 4, 9]))],
        id=f"c{number}",
        topic=chance.choice(_TOPICS),
        persona=chance.choice(_PERSONAS),
        metadata=chance.choice(_METADATA),
    )


def _random_selection(chance):
    """Return a selection with one to three conditions."""
    conditions = {
        "job_id": lambda: chance.choice(["one", "two", "none"]),
        "search": lambda: chance.choice(
            ["STRASSE", "größe", "GRÜSSE", "🌍", "ann", "%", "z" * 200, "aus köln 🌍", "b%c"]
        ),
        "persona": lambda: chance.choice(_PERSONAS[1:]),
        "persona_contains": lambda: chance.choice(["ANN", "baker", "äh", "q", "_"]),
        "topic_contains": lambda: chance.choice(["strasse", "a_b", "%", "ÜN", ""]),
        "model": lambda: chance.choice(["m1", "w", "openai:gpt-4o-mini", "none"]),
        "min_turns": lambda: chance.randrange(6),
        "max_turns": lambda: chance.randrange(6),
        "min_characters": lambda: chance.choice([0, 5, 20, 300]),
        "max_characters": lambda: chance.choice([0, 5, 20, 300]),
        "created_after": lambda: _START + timedelta(days=chance.randrange(9)),
        "created_before": lambda: _START + timedelta(days=chance.randrange(9)),
        "has_tools": lambda: chance.random() < 0.5,
        "status": lambda: chance.choice(list(ReviewStatus)),
        "rating_from": lambda: chance.choice([1, 3, 5]),
        "rating_below": lambda: chance.choice([2, 4]),
        "tags": lambda: tuple(chance.sample(_TAGS, chance.choice([1, 1, 2]))),
        "unrated": lambda: True,
        "reviewed_by": lambda: chance.choice(["Ann", "ann", "Zoë"]),
        "note_contains": lambda: chance.choice(["GRÜSSE", "köln", "%", "z" * 20]),
        "untagged": lambda: True,
        "ids": lambda: tuple(f"c{chance.randrange(70)}" for _ in range(20)),
    }
    names = chance.sample(list(conditions), chance.choice([1, 1, 2, 3]))
    if "tags" in names and "untagged" in names:
        names.remove("untagged")
    if "unrated" in names:
        names = [name for name in names if not name.startswith("rating_")]
    return Selection(**{name: conditions[name]() for name in names})


def _random_review(chance):
    tags = chance.sample(_TAGS, chance.choice([0, 0, 1, 2]))
    rating, note = chance.choice([None, 1, 2, 3, 4, 5]), chance.choice(["", *_TEXTS])
    return ReviewChange(chance.choice(list(ReviewStatus)), rating, note, tags=tags)


def _in_backup(stored):
    curation = {"curation": {"review": stored.review.to_dict()}} if stored.review is not None else {}
    return {**stored.to_dict(), **curation}


async def _stored(store):
    """Return all conversations in the native shape, in the order in which they were stored."""
    page = await store.conversations.page(OWNER, _ALL, after=0, limit=1000)
    return [_in_backup(stored) for stored in page.conversations]


async def _walk(lists, selection, sort, limit):
    """Return the ids of a list page by page, after going back and forth at each page."""
    page = await lists.page(selection, sort=sort, limit=limit)
    assert not page.has_previous
    ids = [summary.id for summary in page.conversations]
    while page.next is not None:
        following = await lists.page(selection, sort=sort, after=page.next, limit=limit)
        back = await lists.page(selection, sort=sort, before=following.previous, limit=limit)
        assert back == replace(page, has_next=True)
        page = following
        ids += [summary.id for summary in page.conversations]
    return ids


def _rating(document):
    return document.get("curation", {"review": {}})["review"].get("rating")


def _in_order(documents, sort):
    values = {
        Sort.HIGHEST_RATED: _rating,
        Sort.LONGEST: lambda document: sum(len(turn["content"]) for turn in document["conversation_turns"]),
        Sort.MOST_TURNS: lambda document: len(document["conversation_turns"]),
        Sort.NEWEST: lambda _: 0,
    }
    if sort not in values:
        return _in_order(documents, sort.opposite)[::-1]
    if sort is Sort.HIGHEST_RATED:
        documents = [document for document in documents if _rating(document) is not None]
    numbered = sorted(enumerate(documents), key=lambda pair: (values[sort](pair[1]), pair[0]), reverse=True)
    return [document["id"] for _, document in numbered]


async def _check(store, selection):
    """Check that lists, pages and counts all hold what the matcher of the selection finds."""
    matches = selection.matcher()
    expected = [document for document in await _stored(store) if matches(document)]
    lists, sort = _lists(store), random.Random(repr(selection)).choice(list(Sort))

    assert await _walk(lists, selection, sort, limit=7) == _in_order(expected, sort)
    assert (await lists.total(selection)).count == len(expected)
    page = await store.conversations.page(OWNER, selection, after=0, limit=1000)
    assert [stored.id for stored in page.conversations] == [document["id"] for document in expected]
    assert await store.conversations.count(OWNER, selection) == len(expected)


@_ALSO_WITH_TRIGRAMS
@pytest.mark.parametrize("is_indexed", ["not at all", "partly", "whole"])
@pytest.mark.parametrize("has_text_index", [False, True])
async def test_database_selects_what_the_matcher_does(store, is_indexed, has_text_index):
    """A selection holds the same conversations in a list, a page, a count and a backup, whatever is indexed."""
    chance = random.Random(f"{is_indexed} {has_text_index}")
    if has_text_index:
        await _index_texts(store)
    await _store(store, *(_random_conversation(chance, number) for number in range(40)), job_id="one")
    store.clock.move(5 * 86_400)
    if is_indexed != "not at all":
        await _fill(store)
    await _store(store, *(_random_conversation(chance, number) for number in range(40, 70)), job_id="two")
    if is_indexed == "whole":
        await _fill(store)

    for number in range(0, 70, 2):
        await store.reviews.change(
            OWNER, _ALL, [f"c{number}"], _random_review(chance), reviewer=chance.choice([None, "Ann", "Zoë"])
        )

    for _ in range(30):
        await _check(store, _random_selection(chance))


_CHANGES = {
    "a topic": "UPDATE conversations SET topic = 'Kirschbaum' WHERE id = 'c2'",
    "a turn": "UPDATE turns SET content = 'longer than before' WHERE sequence = 1",
    "a new turn": "INSERT INTO turns (conversation_key, sequence, owner, role, content) SELECT key, 99, owner, 'user',"
    " 'more' FROM conversations WHERE id IN ('c3', 'c4')",
    "a turn less": "DELETE FROM turns WHERE sequence = 2",
    "metadata": """UPDATE conversations SET metadata = '{"model":"m9"}' WHERE id = 'c5'""",
    "a persona": "UPDATE conversations SET persona = 'Zoe' WHERE id > 'c3'",
    "a conversation less": "DELETE FROM conversations WHERE id IN ('c1', 'c8')",
    "nothing left": "DELETE FROM conversations",
}


@_ALSO_WITH_TRIGRAMS
@pytest.mark.parametrize("change", _CHANGES)
@pytest.mark.parametrize("is_filled_again", [False, True])
async def test_a_change_past_backstay_is_noticed(store, change, is_filled_again):
    """What another program changes is selected as it is now, before and after the index is filled again."""
    chance = random.Random(change)
    await _index_texts(store)
    await _store(store, *(_random_conversation(chance, number) for number in range(10)))
    await _fill(store)

    store.is_left_unchecked = True  # since the change may delete what a job has made
    store.sql(_CHANGES[change])
    if is_filled_again:
        await _fill(store)

    for selection in (
        Selection(min_turns=3),
        Selection(max_characters=40),
        Selection(model="m9"),
        Selection(persona="Zoe"),
        Selection(has_tools=False),
        Selection(search="LONGER than"),
        Selection(search="grüsse"),
        Selection(search="kirsch"),
    ):
        await _check(store, selection)
    status = await store.index.status(OWNER)
    assert status.indexed + status.unindexed == len(await _stored(store))
    assert status.texts in (None, status.indexed) or not is_filled_again
    assert not (is_filled_again and status.unindexed)


async def test_summary_says_what_a_conversation_is(store):
    """A summary has the traits of a conversation, and its first words where it has no topic."""
    long = f"  {'word ' * 100}"
    await _store(
        store,
        conversation("hello", id="a", topic="t", persona="p"),
        Conversation(
            [
                Turn("system", "Be brief."),
                Turn("user", long),
                Turn("assistant", "", tool_calls=[ToolCall("call-1", "f", "{}")]),
            ],
            id="b",
            topic="",
            metadata={"writer": "scripted"},
        ),
    )

    unindexed = (await _lists(store).page()).conversations
    await _fill(store)
    indexed = (await _lists(store).page()).conversations

    assert unindexed == indexed
    assert indexed[1] == ConversationSummary(
        id="a",
        topic="t",
        opening=None,
        persona="p",
        job_id="job",
        item_id="item-1",
        turns=2,
        characters=indexed[1].characters,
        model=None,
        has_tools=False,
        created_at="2024-02-29T12:00:00.123456Z",
        cursor=indexed[1].cursor,
    )
    assert indexed[0].opening == f"{'word ' * 15}word…"
    assert (indexed[0].turns, indexed[0].characters, indexed[0].model, indexed[0].has_tools) == (
        3,
        len("Be brief.") + len(long),
        "scripted",
        True,
    )
    assert await _lists(store).models() == ["scripted"]


@pytest.mark.parametrize("sort", list(Sort))
async def test_neighbours_are_those_of_the_list(store, sort):
    """From each position of a list, in each order, the neighbours are the conversations next to it in the list."""
    chance = random.Random(str(sort))
    await _store(store, *(_random_conversation(chance, number) for number in range(30)))
    lists, selection = _lists(store), Selection(has_tools=False)
    reviews = Reviews(store=store.reviews, conversations=store.conversations, owner=OWNER, reviewer=None)
    for rating in range(1, 4):
        await reviews.change(Selection(min_turns=rating), ReviewChange(rating=rating))
    summaries = (await lists.page(selection, sort=sort, limit=50)).conversations
    ids = [None, *(summary.id for summary in summaries), None]

    found = [await lists.neighbours(summary.position(sort), selection, sort=sort) for summary in summaries]

    assert [(each.previous and each.previous.id, each.next and each.next.id) for each in found] == list(
        zip(ids, ids[2:], strict=False)
    )
    assert len(found) > 5


async def test_neighbours_do_not_need_the_conversation(store):
    """A conversation that is not in the list has the neighbours of its position, and an unknown one has no position."""
    await _store(store, *(conversation(id=f"c{number}") for number in range(3)))
    lists = _lists(store)

    position = await lists.position("c1")
    neighbours = await lists.neighbours(position, Selection(ids=("c0", "c2")))

    assert (neighbours.previous.id, neighbours.next.id) == ("c2", "c0")
    with pytest.raises(ConversationNotFound, match="'none' not found"):
        await lists.position("none")


async def test_total_is_exact_up_to_a_limit(store, monkeypatch):
    """A total beyond the limit is given as at least that many."""
    monkeypatch.setattr("backstay.library.lists.MAX_TOTAL", 3)
    await _store(store, *(conversation(id=f"c{number}") for number in range(3)))

    exact = await _lists(store).total()
    await _store(store, conversation(id="c4"), job_id="more")
    more = await _lists(store).total()

    assert (str(exact), str(more)) == ("3", "3+")


async def test_a_dropped_index_is_filled_again(store):
    """Dropping the index changes no list; filling it again indexes everything, once."""
    await _store(store, *(conversation(id=f"c{number}") for number in range(5)))
    await _fill(store)
    before = await _lists(store).page(Selection(min_turns=1))

    await store.index.drop(OWNER)
    dropped = await store.index.status(OWNER)
    without = await _lists(store).page(Selection(min_turns=1))
    await _fill(store)

    assert (dropped.indexed, dropped.unindexed) == (0, 5)
    assert without == before == await _lists(store).page(Selection(min_turns=1))
    assert await store.index.status(OWNER) == IndexStatus(indexed=5, unindexed=0)


async def _found(store, text):
    return [summary.id for summary in (await _lists(store).page(Selection(search=text))).conversations]


@_HAS_TRIGRAMS
async def test_a_search_reads_what_the_text_index_finds(store):
    """A search looks at no conversation whose text the index claims to have and does not find."""
    await _store(store, *(conversation("needle in hay", id=f"c{number}") for number in range(3)))
    await _index_texts(store)
    await _fill(store)
    await _store(store, conversation("needle again", id="c4"), job_id="more")
    before = await _found(store, "EEDLE")

    while await store.index.fill(OWNER, limit=7) and (await store.index.status(OWNER)).unindexed:
        pass
    store.sql("UPDATE conversation_index SET has_text = TRUE")

    assert before == ["c4", "c2", "c1", "c0"]
    assert await _found(store, "EEDLE") == ["c2", "c1", "c0"]
    assert await _found(store, "ee") == before  # too short for the index


@_HAS_TRIGRAMS
async def test_a_common_text_is_scanned_for(store, monkeypatch):
    """Where many conversations contain the text, the list does not use the text index."""
    monkeypatch.setattr("backstay.storage.sql.text_search._SAMPLE", 100)
    await _store(store, *(conversation("needle in hay", id=f"c{number}") for number in range(3)))
    await _index_texts(store)
    while await store.index.fill(OWNER, limit=7) and (await store.index.status(OWNER)).unindexed:
        pass

    store.sql("UPDATE conversation_index SET has_text = TRUE")

    assert await _found(store, "needle") == ["c2", "c1", "c0"]


@_HAS_TRIGRAMS
async def test_a_dropped_text_index_is_created_again(store):
    """A text index is created once, can be dropped, and then searches find the same as before."""
    await _store(store, conversation("needle", id="c1"))
    await _index_texts(store)
    await _index_texts(store)
    await _fill(store)
    filled = await store.index.status(OWNER)

    await store.index.drop_text_index()
    await store.index.drop_text_index()
    dropped, found = await store.index.status(OWNER), await _found(store, "needle")
    await _index_texts(store)
    owners = await store.index.owners()
    await _fill(store)

    assert (filled.texts, dropped.texts, dropped.indexed) == (1, None, 1)
    assert owners == [OWNER]
    assert found == await _found(store, "needle") == ["c1"]
    assert await store.index.status(OWNER) == filled
    assert await store.index.owners() == []


@pytest.mark.parametrize("store", [pytest.param(DATABASES[1], id="postgres")], indirect=True)
async def test_a_server_without_the_extension_is_named(store):
    """Where a text index cannot be created, the error says what is missing, and nothing changes."""
    with pytest.raises(SettingsError, match="Texts cannot be indexed: this server does not have the extension pg_trgm"):
        await store.index.create_text_index()

    assert (await store.index.status(OWNER)).texts is None


@pytest.mark.parametrize("store", [pytest.param(DATABASES[0], id="sqlite")], indirect=True)
async def test_a_purge_leaves_nothing_of_deleted_texts(store):
    """No sequence of a deleted text is in the file after a purge; the control is the file before it."""
    await _store(store, *(conversation(f"{'ordinary words ' * 50}{number}", id=f"c{number}") for number in range(40)))
    await _store(store, *(conversation("QZJ XVK", id=f"d{number}") for number in range(9)), job_id="more")
    await _index_texts(store)
    await _fill(store)
    store.is_left_unchecked = True  # since a result of the job is deleted past Backstay

    def traces():
        blocks = store.sql("SELECT block FROM conversation_text_data")
        return sum(b"qzj" in block or b"zj " in block for (block,) in blocks)

    assert not await store.index.has_removed_texts()
    store.sql("DELETE FROM conversations WHERE id LIKE 'd%'")
    before = traces()
    is_first = is_more = await store.index.has_removed_texts()
    while is_more:
        is_more = await store.index.purge(is_first=is_first)
        is_first = False

    assert before
    assert not traces()
    assert not await store.index.has_removed_texts()
    assert len(await _found(store, "ordinary")) == 40
