"""Each statement that writes has its own conditions, also where another check comes before it."""

from datetime import timedelta
from typing import NamedTuple

import pytest

from backstay.batch.progress import ItemCounts
from backstay.batch.store import Lease
from backstay.coordination.expiring_value import ExpiringValue
from backstay.errors import BackupInUse, LeaseLost
from backstay.library.review_change import ReviewChange
from backstay.library.selection import Selection
from backstay.storage.sql.conversation_records import delete
from support.data.conversations import conversation, items
from support.data.verdicts import completed, failed
from support.stores.jobs import OWNER, acquire_lease, claim, claim_one, commit, create, job, stage

pytestmark = pytest.mark.promise("B4", "K4")

_RETURNING = ("fence", "interrupt_items", "skip_item", "pop_value", "worker_at_beat")
_OWNERS = (OWNER, OWNER, "you")


class _Case(NamedTuple):
    """A statement that changes one row of three alike, of which another owner has the last."""

    name: str
    matching: str = ""
    """What is set in all rows, so that only their key and their owner tell which one is changed."""
    others: tuple[str, ...] = ()
    """What is set in all rows after that, each so that none of them may be changed."""
    count: int = 1
    """Rows that are changed."""
    parameters: tuple[str, ...] = ("owner",)
    """Values each of which, when wrong, prevents any change."""


class _RolledBack(Exception):
    pass


async def _count_changes(store, name, values):
    """Return how many rows a statement changes, and change none."""

    def execute(session):
        raise _RolledBack(len(session.rows(name, values)) if name in _RETURNING else session.execute(name, values))

    with pytest.raises(_RolledBack) as rolled_back:
        await store.batches.work._database.write(execute)
    return rolled_back.value.args[0]


async def _count_row_changes(store, name, rows, *fixed):
    """Return how many rows a statement over rows changes, and change none."""

    def execute(session):
        raise _RolledBack(session.execute_many(name, rows, *fixed))

    with pytest.raises(_RolledBack) as rolled_back:
        await store.batches.work._database.write(execute)
    return rolled_back.value.args[0]


async def _missing_guards(store, table, cases, values):
    """Return the conditions that each statement lacks."""
    missing = []
    for case in cases:
        if case.matching:
            store.sql(f"UPDATE {table} SET {case.matching}")
        if (count := await _count_changes(store, case.name, values)) != case.count:
            missing.append(f"{case.name}: {count} rows")
        for parameter in case.parameters:
            wrong = {"owner": "you"}.get(parameter, values[parameter])
            wrong = f"not {wrong}" if parameter != "owner" and isinstance(wrong, str) else wrong
            wrong = 9_999_999 if isinstance(wrong, int) else wrong
            if await _count_changes(store, case.name, {**values, parameter: wrong}):
                missing.append(f"{case.name}: {parameter}")
        for other in case.others:
            store.sql(f"UPDATE {table} SET {case.matching}")
            store.sql(f"UPDATE {table} SET {other}")
            if await _count_changes(store, case.name, values):
                missing.append(f"{case.name}: {other}")
    return missing


async def test_statement_changes_only_the_backup_that_it_names(store):
    """A statement changes a backup only by its key, for its owner and in the right state."""
    for number, owner in enumerate(_OWNERS):
        name = f"backup-{number}"
        backup = await store.backups.creation.begin(
            owner, name, reason="", folder=None, host="", retention=timedelta(days=1)
        )
        for position in range(2):
            store.sql(
                "INSERT INTO backup_items (backup_key, position, owner, id, conversation_key, digest, row_version) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                *(backup.key, position, owner, f"c{position}", position, b"d", b"v"),
            )
    ((key,),) = store.sql("SELECT key FROM backups WHERE id = 'backup-0'")
    values = {
        "key": key,
        "owner": OWNER,
        "now": 1_000,
        "damaged_at": 5,
        "seen_at": 5,
        "early": False,
        "pinned": True,
        "conversations": 0,
        "turns": 0,
        "content_bytes": 0,
        "file_bytes": 0,
        "file_sha256": b"",
        "error": "e",
        "deletion": None,
        "expires_at": None,
        "deleted": 0,
        "changed": 0,
        "gone": 0,
        "ended": True,
        "limit": 9,
    }
    expired = "state = 'verified', pinned = FALSE, deletion = NULL, expires_at = 1"
    in_expired = ("state = 'expired'", "state = 'running'", "pinned = TRUE", "deletion = 'deleting'")
    cases = (
        _Case("note_backup_expired"),
        _Case("mark_backup_failed", "state = 'running'", ("state = 'verified'",)),
        _Case("mark_backup_verified", "state = 'running'", ("state = 'failed'",)),
        _Case("mark_backup_damaged", "state = 'verified'", ("state = 'expired'", "state = 'failed'")),
        _Case("mark_backup_intact", "state = 'damaged', damaged_at = 5", ("state = 'expired'", "damaged_at = 6")),
        _Case("mark_backup_removed", "state = 'expired'", ("state = 'verified'", "state = 'running'")),
        _Case("pin_backup", "state = 'verified'", ("state = 'running'", "state = 'expired'")),
        _Case("advance_delete", "deletion = 'deleting'", ("deletion = 'deleted'", "deletion = NULL")),
        _Case("mark_delete_undone", "deletion = 'deleting'", ("deletion = 'deleted'", "deletion = NULL")),
        _Case("mark_backup_expired", expired, (*in_expired, "expires_at = 2000")),
        _Case("drop_backup_items", count=2),
    )

    assert await _missing_guards(store, "backups", cases, values) == []
    assert await _count_row_changes(store, "record_outcomes", [(0, "gone")], key) == 1
    early = (_Case("mark_backup_expired", expired, in_expired),)
    assert await _missing_guards(store, "backups", early, {**values, "early": True}) == []


async def test_only_a_failed_backup_is_begun_again(store):
    """A backup that did not fail cannot be begun again under its id, and stays as it is."""
    for state in ("running", "verified", "damaged", "expired"):
        backup = await store.backups.creation.begin(
            OWNER, state, reason="first", folder=None, host="", retention=timedelta(days=1)
        )
        store.sql("UPDATE backups SET state = ? WHERE id = ?", state, state)

        with pytest.raises(BackupInUse):
            await store.backups.creation.begin(
                OWNER, state, reason="second", folder=None, host="", retention=timedelta(days=1)
            )

        assert store.sql("SELECT state, reason FROM backups WHERE key = ?", backup.key) == [(state, "first")]


async def test_statement_changes_only_the_job_that_it_names(store):
    """A statement changes a job only by its key, for its owner and in the right state."""
    for owner in _OWNERS:
        await store.batches.work._database.write(
            lambda session, owner=owner: session.value("stage_job", {"owner": owner, "now": 1})
        )
    ((key,),) = store.sql("SELECT min(key) FROM jobs")
    values = {
        "job_key": key,
        "owner": OWNER,
        "job_id": "new",
        "now": 1_000,
        "processor": "p",
        "settings": "{}",
        "recipe": None,
        "revision": None,
        "model": "m",
        "number": 2,
        "pause_code": None,
        "pause_message": None,
        "pause_evidence": None,
        "finished_at": None,
        "state": "paused",
        "added": 1,
        "count": 1,
        "pending": 0,
        "completed": 0,
        "failed": 0,
        "skipped": 0,
    }
    creating = "state = 'creating', id = NULL"
    named = "state = 'completed', id = 'job ' || key"
    taken = ", ".join(
        f"{column} = CASE key WHEN {key} THEN {first} ELSE {other} END"
        for column, first, other in (("state", "'creating'", "'pending'"), ("id", "NULL", "'new'"))
    )
    cases = (
        _Case("drop_job", creating, (named,)),
        _Case("publish_job", creating, (named, taken)),
        _Case("mark_cleaned", named, ("state = 'pending'", "state = 'completed_with_failures'")),
        *(
            _Case(name, named)
            for name in (
                "hide_job",
                "record_added_items",
                "record_regenerated_items",
                "record_relinked_items",
                "record_retried_items",
            )
        ),
        *(_Case(name, named) for name in ("record_skipped_items", "record_legacy_items", "set_settings", "set_state")),
        _Case("set_recipe", named),
    )

    assert await _missing_guards(store, "jobs", cases, values) == []
    store.sql(f"UPDATE jobs SET {creating}")
    store.sql("UPDATE jobs SET state = 'pending', id = 'new' WHERE owner = 'you'")
    assert await _count_changes(store, "publish_job", values) == 1
    store.is_left_unchecked = True


async def test_statement_changes_only_the_worker_that_it_names(store):
    """A statement changes a worker only by its token, for its owner."""
    for number, owner in enumerate(_OWNERS):
        await create(store, 1, job_id=f"job-{number}", owner=owner)
    leases = [await acquire_lease(store, f"job-{number}", owner=owner) for number, owner in enumerate(_OWNERS)]
    counts = ("pending", "running", "completed", "failed", "skipped", "tokens_in", "tokens_out")
    values = {
        "token": leases[0].token,
        "job_key": leases[0].job_key,
        "owner": OWNER,
        "now": 1,
        "waiting": None,
        "beat": 0,
        **dict.fromkeys(counts, 0),
    }
    names = ("beat", "mark_stopping", "move_counts", "set_waiting", "fold_counts", "delete_worker")
    cases = [_Case(name, parameters=("owner", "token")) for name in names]
    cases.append(_Case("drop_job_workers", parameters=("owner", "job_key")))
    cases.append(_Case("fence", parameters=("owner", "token", "job_key")))
    cases.append(_Case("worker_at_beat", parameters=("owner", "token", "beat")))

    assert await _missing_guards(store, "workers", cases, values) == []


async def _failed_jobs(store):
    """Create three jobs alike, of which another owner has the last, and fail their items; return their keys."""
    keys = []
    for owner, job_id in zip(_OWNERS, ("one", "two", "one"), strict=True):
        created = await create(store, 3, job_id=job_id, owner=owner)
        lease = await acquire_lease(store, job_id, owner=owner)
        await commit(store, lease, *map(failed, await claim(store, lease, 3)))
        keys.append(created.key)
    store.is_left_unchecked = True
    return keys


async def test_statement_changes_only_the_items_that_it_names(store):
    """A statement changes items only of its job, for its owner or worker and in the right state."""
    key, *_ = await _failed_jobs(store)
    values = {
        "job_key": key,
        "owner": OWNER,
        "id": "item-1",
        "state": "failed",
        "limit": 99,
        "now": 1_000,
        "token": 77,
        "stopping": False,
        "crash_limit": 3,
        "position": 0,
        "digest": b"new",
        "former_digest": store.sql("SELECT digest FROM items WHERE job_key = ? AND position = 0", key)[0][0],
        "topic": "t",
        "persona": None,
        "parameters": "{}",
    }
    item, running = ("owner", "job_key", "id"), "state = 'running', worker = 77, attempt = 2, started_at = 1"
    deleted, at = "state = 'completed', deleted_at = 1", ("owner", "job_key", "position")
    cases = (
        *(_Case(f"drop_{name}", "", (), 3, item[:2]) for name in ("items", "item_inputs", "attempts", "failures")),
        _Case("skip_item", "state = 'failed'", ("state = 'running'",), parameters=(*item, "state")),
        _Case("failed_to_pending", "state = 'failed'", ("state = 'pending'",), 3, item[:2]),
        _Case("failed_to_pending_by_id", "state = 'failed'", ("state = 'pending'",), parameters=item),
        _Case("deleted_to_pending_by_id", deleted, ("state = 'failed'", "deleted_at = NULL"), parameters=item),
        _Case("edit_item", "state = 'failed'", ("state = 'running'", "state = 'completed'"), parameters=at),
        _Case("edit_input", parameters=at),
        _Case("interrupt_attempts", running, ("state = 'pending'", "worker = 78"), 3, ("job_key", "token")),
        _Case("interrupt_items", running, ("state = 'pending'", "worker = 78"), 3, ("job_key", "token")),
    )

    assert await _missing_guards(store, "items", cases, values) == []
    store.sql(f"UPDATE items SET {deleted}")
    store.sql("DELETE FROM item_inputs WHERE job_key = ? AND position = 0", key)
    assert await _count_changes(store, "deleted_to_pending_by_id", values) == 0


@pytest.mark.parametrize(
    ("name", "matching", "other"),
    [
        ("failed_to_pending_by_position", "state = 'failed'", "state = 'pending'"),
        ("forget_tries_by_position", "state = 'pending'", "state = 'failed'"),
        ("relink_items", "state = 'failed'", "state = 'running'"),
        ("mark_results_deleted", "state = 'completed', conversation_id = 'c'", "state = 'failed'"),
        ("mark_results_deleted", "state = 'completed', conversation_id = 'c'", "conversation_id = 'd'"),
    ],
)
async def test_statement_over_rows_changes_only_these(store, name, matching, other):
    """A statement over rows changes only the items that they name, in the right state."""
    key, *_ = await _failed_jobs(store)
    rows, fixed = {
        "relink_items": ([(key, 0, "c")], ()),
        "mark_results_deleted": ([("one", "item-1", "c")], (OWNER, 1)),
    }.get(name, ([(0,)], (key,)))

    store.sql(f"UPDATE items SET {matching}")
    assert await _count_row_changes(store, name, rows, *fixed) == 1
    store.sql(f"UPDATE items SET {other}")
    assert await _count_row_changes(store, name, rows, *fixed) == 0


async def test_staged_items_fill_only_the_job_that_they_were_staged_for(store):
    """Items are copied only from the job that is named, and only the positions that are named."""
    await _failed_jobs(store)
    target = await stage(store)
    copied = {"staged": target.job_key, "owner": OWNER, "job_id": "one", "first": 1, "upto": 2}

    assert await _count_changes(store, "copy_items", copied) == 1


async def test_a_job_gains_only_the_items_that_were_staged_for_it(store):
    """Items of a third job are not appended."""
    for job_id, count in (("one", 1), ("other", 5)):
        await create(store, count, job_id=job_id)
    ((key,),) = store.sql("SELECT key FROM jobs WHERE id = 'one'")
    staged = await stage(store, items(3))

    added = {"staged": staged.job_key, "job_key": key, "base": 1}
    assert await _count_changes(store, "append_items", added) == 2


async def test_imported_items_settle_only_those_of_their_job(store):
    """What was imported settles items only of the new job, by the import of its name and owner."""
    key, *_ = await _failed_jobs(store)
    for owner in _OWNERS[1:]:
        for job_id in ("new", "other"):
            await store.waiting_imports.add(owner, job_id, {"item-1": None, "item-2": "it was late"})
    values = {"job_key": key, "owner": OWNER, "job_id": "new", "token": 77, "now": 1_000}
    store.sql("DELETE FROM attempts")

    cases = (
        _Case("settle_legacy_items", count=2, parameters=("job_key", "owner", "job_id")),
        _Case("insert_legacy_attempts", count=1, parameters=("job_key", "owner", "job_id")),
    )

    assert await _missing_guards(store, "items", cases, values) == []
    store.sql("DELETE FROM legacy_jobs WHERE owner = 'you'")
    drop = (_Case("drop_legacy_job", parameters=("owner", "job_id")),)
    assert await _missing_guards(store, "legacy_jobs", drop, values) == []


async def test_statement_changes_only_the_expiring_value_that_it_names(store):
    """A statement changes an expiring value only by its kind, name and value, for its owner and before it expires."""
    for kind, owner, name in (("k", OWNER, "n"), ("k", OWNER, "m"), ("l", OWNER, "n"), ("k", "you", "n")):
        await store.notes.put(ExpiringValue(owner, kind, name, "v", timedelta(days=1)))
    values = {"kind": "k", "owner": OWNER, "name": "n", "value": "v", "now": 1_000, "expires_at": 9_000}
    owned, valid = ("kind", "owner", "name", "value"), "expires_at = 2000"
    cases = (
        _Case("drop_value", valid, parameters=owned[:1] + owned[2:]),
        _Case("renew_value", valid, parameters=owned[:1] + owned[2:]),
        _Case("pop_value", valid, ("expires_at = 1",), 2, ("kind", "name")),
    )

    assert await _missing_guards(store, "notes", cases, values) == []
    store.sql("DELETE FROM notes WHERE owner = ?", OWNER)
    assert await _count_changes(store, "drop_value", values) == 0
    assert await _count_changes(store, "renew_value", values) == 0


async def test_items_of_another_owner_are_not_claimed(store):
    """A worker claims only items that carry its owner, even if its job contains others."""
    await create(store, 3)
    store.sql("UPDATE items SET owner = 'other' WHERE position = 1")
    lease = await acquire_lease(store)

    held = await claim(store, lease, 5)

    assert [claimed.position for claimed in held] == [0, 2]


async def test_conversations_of_another_owner_are_not_deleted(store):
    """A delete by key leaves a conversation of another owner, whose key was passed by mistake."""
    await create(store, 1)
    lease = await acquire_lease(store)
    await commit(store, lease, completed(await claim_one(store, lease), conversation("kept")))
    ((key,),) = store.sql("SELECT key FROM conversations")

    deleted = await store.batches.work._database.write(lambda session: delete(session, "other", [key]))

    assert deleted == set()
    assert await store.conversations.count(OWNER, Selection(everything=True)) == 1


async def test_item_that_no_longer_runs_is_not_settled(store):
    """A worker cannot settle an item that is no longer running, even if the item still names it and its attempt."""
    await create(store, 2)
    lease = await acquire_lease(store)
    held = await claim_one(store, lease)
    store.sql("UPDATE items SET state = 'skipped' WHERE position = 0")
    store.is_left_unchecked = True  # the counts still say that it runs

    with pytest.raises(LeaseLost):
        await commit(store, lease, completed(held))

    assert store.sql("SELECT state FROM items WHERE position = 0") == [("skipped",)]
    assert store.sql("SELECT count(*) FROM conversations") == [(0,)]


async def test_token_of_one_job_claims_nothing_of_another(store):
    """A worker that holds a lease on one job cannot claim items of another job with its token."""
    await create(store, 2, job_id="one")
    await create(store, 2, job_id="two")
    first, second = await acquire_lease(store, "one"), await acquire_lease(store, "two")
    mixed = Lease(OWNER, second.job_key, second.job_id, first.token)

    with pytest.raises(LeaseLost):
        await claim(store, mixed, 1)

    assert (await job(store, "two")).counts == ItemCounts(pending=2)


async def test_worker_settles_only_items_of_its_job(store):
    """A worker settles its item alone, even if an item of another job names its token and the same attempt."""
    await create(store, 1, job_id="one")
    await create(store, 1, job_id="two")
    lease, other = await acquire_lease(store, "one"), await acquire_lease(store, "two")
    held = await claim_one(store, lease)
    await claim_one(store, other)
    store.sql("UPDATE items SET worker = ?", lease.token)

    await commit(store, lease, completed(held))

    assert (await job(store, "two")).counts == ItemCounts(running=1)
    assert store.sql("SELECT count(*) FROM items WHERE state = 'running'") == [(1,)]


async def test_statement_changes_only_reviews_of_the_owner(store):
    """A statement changes reviews and tags only of the conversations that are named, for their owner."""
    keys = []
    for number, owner in enumerate(_OWNERS):
        await create(store, 1, job_id=f"job-{number}", owner=owner)
        lease = await acquire_lease(store, f"job-{number}", owner=owner)
        await commit(store, lease, completed(await claim_one(store, lease), conversation(id=f"c{number}")))
        await store.reviews.change(
            owner, Selection(everything=True), [f"c{number}"], ReviewChange(rating=1, tags=["x"]), reviewer=None
        )
        keys.append(store.sql("SELECT max(key) FROM conversations")[0][0])
    first, _, foreign = keys
    put = [(key, OWNER, "kept", None, None, None, "2024-01-01T00:00:00.000000Z") for key in keys]

    assert await _count_row_changes(store, "put_reviews", put) == 2
    assert await _count_row_changes(store, "drop_reviews", [(first,), (foreign,)], OWNER) == 1
    assert await _count_row_changes(store, "drop_foreign_reviews", [(first,), (foreign,)], OWNER) == 1
    tags = [(first, "x"), (first, "y"), (foreign, "x")]
    assert await _count_row_changes(store, "drop_tags", tags, OWNER) == 1
