"""The rules of a restore, decided from facts alone."""

from dataclasses import replace

import orjson
import pytest

from backstay.backup.item_links import ItemKeySet, ItemLinks, SourceItem
from backstay.backup.restore_policy import choose, classify, columns_differ_error, restore_differs_error
from backstay.backup.store import ArchivedConversation
from backstay.errors import RestoreConflict
from backstay.library.choices import RestoreConflictPolicy
from backstay.library.record import Record
from backstay.remedy import Remedy

_ITEM = SourceItem("job", 7, 3, "completed", "other", is_deleted=False, job_created_at="2025-01-01T00:00:00Z")


def _conversation(name="c1", **document):
    document = {
        "content": None, "conversation_turns": [], "created_at": "2025-02-01T00:00:00Z", "id": name,
        "job_id": "job", "item_id": "i3", "updated_at": "2025-02-01T00:00:00Z", **document,
    }  # fmt: skip
    line = orjson.dumps(document)
    return ArchivedConversation(1, b"digest", 0, name, ("job", "i3"), document["created_at"], line, rows=None)


def _live(conversation, **changes):
    line = orjson.dumps({**conversation.document, **changes})
    return {conversation.id: Record(conversation.id, 1, "job", "i3", 0, line, None)}


def _classify(conversation, *, live=None, item=None, linked=()):
    keys = ItemKeySet()
    for key in linked:
        keys.add(key)
    items = {("job", "i3"): item} if item is not None else {}
    return classify([conversation], 0, live or {}, items, keys)


@pytest.mark.parametrize(
    "item",
    [
        None,
        replace(_ITEM, conversation_id=None, state="failed"),
        replace(_ITEM, conversation_id="c1"),
        replace(_ITEM, is_deleted=True),
        replace(_ITEM, job_created_at="2025-03-01T00:00:00Z"),
    ],
    ids=["no item", "no result", "its own result", "a deleted result", "a newer job of the same id"],
)
def test_what_takes_nobodys_place_is_new(item):
    """A conversation is new if its id is free and its item has no other result that it might have made."""
    chunk = _classify(_conversation(), item=item)

    assert len(chunk.new) == 1
    assert not chunk.conflicts


def test_conversation_without_an_item_is_new_beside_others():
    """A conversation of no job is new, even if its chunk holds conversations of items."""
    of_item, other = _conversation("c1"), _conversation("c2")._replace(item=(None, None))

    chunk = classify([of_item, other], 0, {}, {("job", "i3"): _ITEM}, ItemKeySet())

    assert list(chunk.new) == [other]


def test_an_item_that_this_restore_linked_is_no_conflict():
    """Two restored conversations may name one item: the second does not conflict with the first."""
    chunk = _classify(_conversation(), item=_ITEM, linked=[_ITEM.key])

    assert len(chunk.new) == 1


@pytest.mark.parametrize(
    ("live", "item", "kind", "other"),
    [
        ({"content": "newer"}, None, "content", "c1"),
        ({"updated_at": "2025-04-01T00:00:00Z"}, None, "times", "c1"),
        (None, _ITEM, "item", "other"),
        (None, replace(_ITEM, job_created_at="2025-02-01T00:00:00Z"), "item", "other"),
        (None, replace(_ITEM, state="running"), "busy", None),
        ({"content": "newer"}, replace(_ITEM, state="running"), "busy", None),
    ],
)
def test_each_kind_of_conflict(live, item, kind, other):
    """A conflict says its kind, and which conversation of the library would have to go."""
    conversation = _conversation()

    chunk = _classify(conversation, live=_live(conversation, **live) if live else None, item=item)

    ((_, conflict),) = chunk.conflicts
    assert (conflict.kind, conflict.other_id) == (kind, other)
    assert chunk.in_the_way == ([other] if other else [])
    assert chunk.replacing == ({"c1"} if kind == "item" else set())


def test_the_choice_follows_the_policy():
    """`skip` leaves conflicts out, `replace` restores them, and `fail` raises with the first of them."""
    conversation = _conversation()
    chunk = _classify(conversation, live=_live(conversation, content="newer"))

    assert choose(chunk, RestoreConflictPolicy.SKIP, "backup-1-a") == []
    assert choose(chunk, RestoreConflictPolicy.REPLACE, "backup-1-a") == [conversation]
    with pytest.raises(RestoreConflict) as failed:
        choose(chunk, RestoreConflictPolicy.FAIL, "backup-1-a")
    assert failed.value.message == "Nothing was restored from backup-1-a: conversation 'c1' exists with other content"
    assert failed.value.remedy is Remedy.SKIP_OR_REPLACE


@pytest.mark.parametrize("policy", list(RestoreConflictPolicy))
def test_without_a_conflict_all_is_restored(policy):
    """Without a conflict every policy restores all that is new, in its order."""
    first, second = _conversation("c2"), _conversation("c1")

    chunk = classify([first, second], 0, {}, {}, ItemKeySet())

    assert choose(chunk, policy, "backup-1-a") == [first, second]


def test_the_item_of_a_running_worker_is_never_replaced():
    """With `replace` too, a restore fails if a worker is working on the item."""
    chunk = _classify(_conversation(), item=replace(_ITEM, state="running"))

    with pytest.raises(RestoreConflict, match=r"is being worked on$") as failed:
        choose(chunk, RestoreConflictPolicy.REPLACE, "backup-1-a")
    assert (failed.value.remedy, failed.value.context["job_id"]) == (Remedy.PAUSE_JOB, "job")


def test_the_error_of_a_replacing_restore_names_the_busy_item():
    """A restore that would replace what is in conflict reports the item that is being worked on, which prevents it."""
    changed = _classify(_conversation("c2"), live=_live(_conversation("c2"), content="newer"))
    busy = _classify(_conversation(), item=replace(_ITEM, state="running"))
    chunk = replace(busy, conflicts=[*changed.conflicts, *busy.conflicts])

    with pytest.raises(RestoreConflict, match=r"'c1' is being worked on, and 1 more is in conflict$") as failed:
        choose(chunk, RestoreConflictPolicy.REPLACE, "backup-1-a")
    assert failed.value.remedy is Remedy.PAUSE_JOB


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"content": "x"}, "content"),
        ({"updated_at": "x"}, "updated_at"),
        ({"conversation_turns": [{"content": "b"}]}, "content of turn 1"),
        ({"conversation_turns": []}, "number of turns"),
        ({"related": {"deleted": {"tags": [{"id": 1}]}}}, "rows in tags"),
    ],
)
def test_the_first_difference_is_named(change, column):
    """The error of a restored conversation that differs names its column, its turn or the table of related rows."""
    before = _conversation(conversation_turns=[{"content": "a"}]).document

    error = restore_differs_error("backup-1-a", before, {**before, **change})

    assert error.context["column"] == column
    assert error.message.startswith("Conversation 'c1' would differ from its backup in its ")


def test_the_error_says_what_the_database_lacks():
    """The error of a backup that does not fit the database names the missing column or, without one, a foreign key."""
    column, foreign_key = columns_differ_error("tags", "colour"), columns_differ_error("tags", None)

    assert "a column 'colour' of tags that this database lacks" in column.message
    assert "rows of tags, by a foreign key that this database lacks" in foreign_key.message


def test_a_pending_item_gets_the_last_conversation_that_names_it():
    """An item without a result is linked to the last conversation that names it, over all chunks; the first counts."""
    links, items = ItemLinks(), {("job", "i3"): replace(_ITEM, state="pending", conversation_id=None)}
    first, second = _conversation("c1"), _conversation("c2")

    assert links.link([first], items)[_ITEM.key][0] is first
    assert links.link([second], items)[_ITEM.key][0] is second
    assert (links.linked, links.unlinked) == (1, 1)
    assert _ITEM.key in links.linked_items


_DELETED = replace(_ITEM, is_deleted=True)


def test_an_item_of_a_deleted_result_gets_a_restored_one():
    """An item whose result was deleted is linked to a conversation that names it, in place of the deleted one."""
    links, restored = ItemLinks(), _conversation("c1")

    assert links.link([restored], {("job", "i3"): _DELETED})[_ITEM.key][0] is restored
    assert (links.linked, links.unlinked) == (1, 0)


@pytest.mark.parametrize("order", [("c1", "other"), ("other", "c1")])
@pytest.mark.parametrize("is_written", [True, False], ids=["restore", "plan"])
@pytest.mark.parametrize("chunk_size", [1, 2])
def test_the_deleted_result_itself_comes_before_others(order, is_written, chunk_size):
    """If a backup has the deleted result and another conversation of its item, the result is linked, in any order.

    A plan reads the same items for each chunk, while a restore finds what it has linked before.
    """
    links, conversations, result = ItemLinks(), [_conversation(name) for name in order], _DELETED
    for first in range(0, 2, chunk_size):
        for linked, _ in links.link(conversations[first : first + chunk_size], {("job", "i3"): result}).values():
            last = linked
            if is_written:
                result = replace(_ITEM, conversation_id=linked.id)

    assert last.id == "other"
    assert (links.linked, links.unlinked) == (1, 1)


def test_a_deleted_result_of_a_newer_job_keeps_its_item():
    """A conversation that a discarded job of the same id made does not become the result of the newer job's item."""
    links = ItemLinks()

    assert (
        links.link([_conversation()], {("job", "i3"): replace(_DELETED, job_created_at="2025-03-01T00:00:00Z")}) == {}
    )
    assert (links.linked, links.unlinked) == (0, 1)


def test_a_set_of_item_keys_holds_exactly_what_was_added():
    """A set of item keys tells neighbours, other jobs and positions beyond its end apart."""
    keys = ItemKeySet()
    for key in ((1, 0), (1, 9), (2, 1_000)):
        keys.add(key)

    assert [(job, at) for job in (1, 2, 3) for at in (0, 1, 8, 9, 10, 999, 1_000, 1_001) if (job, at) in keys] == [
        (1, 0),
        (1, 9),
        (2, 1_000),
    ]
