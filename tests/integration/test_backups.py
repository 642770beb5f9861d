"""Backups as a program makes and imports them."""

import asyncio
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from backstay import Backstay
from backstay.backup import verifier, writer
from backstay.backup.backup import BackupImportRequest, BackupState, SealedFile
from backstay.backup.cleanup import Cleaner
from backstay.backup.directory import BackupDirectory
from backstay.backup.folder_marker import FolderState
from backstay.backup.locations import BackupLocations
from backstay.clock import SystemClock
from backstay.errors import (
    BackupDamaged,
    BackupFailed,
    BackupFolderUnrecognized,
    BackupInUse,
    BackupUnreachable,
    BackupUnusable,
    EmptySelection,
    PlanOutdated,
    SettingsError,
)
from backstay.limits import MAX_REASON
from backstay.remedy import Remedy
from support.stores.library import ALL, filled

pytestmark = pytest.mark.promise("K1")

_DAY = timedelta(days=1)


def _import_request(backup_id, expires_at=None):
    return BackupImportRequest(backup_id, "imported", SystemClock().now(), expires_at, _DAY, conversations=3)


@pytest.fixture
def clock(monkeypatch):
    """Return a switch that sets the clock of this process ahead of the real one."""
    clock = SimpleNamespace(ahead=timedelta())
    monkeypatch.setattr(SystemClock, "now", lambda _: datetime.now(UTC) + clock.ahead)
    return clock


@pytest.fixture
async def library(tmp_path):
    """Open a library with three conversations."""
    await filled(tmp_path / "library.db", 3, job=False)
    async with Backstay.open(tmp_path / "library.db") as backstay:
        yield backstay


async def test_a_backup_of_nothing_is_refused(backstay):
    """A backup of an empty selection is refused, and leaves no file."""
    with pytest.raises(EmptySelection):
        await backstay.backups.create(ALL)

    with pytest.raises(EmptySelection):  # as if what was counted had been deleted meanwhile
        await backstay.backups._writer.write(ALL, reason="why", retention=_DAY, expected=3)
    folder, _ = await backstay.backups.folder()
    assert BackupDirectory(folder).backup_ids() == []


async def test_a_backup_for_an_outdated_plan_is_refused(library):
    """A backup is refused if the selection no longer matches the plan of the delete that it is for."""
    plan = await library.conversations.plan_delete(ALL)

    with pytest.raises(PlanOutdated):
        await library.backups.create(ALL, plan_digest="0" * 64)

    assert (await library.backups.create(ALL, plan_digest=plan.digest)).conversations == 3


@pytest.mark.parametrize("reason", ["", "x" * (MAX_REASON + 1), "two\nlines"], ids=["empty", "long", "lines"])
async def test_a_reason_is_one_line(library, reason):
    """A reason that is empty, too long or of two lines is refused."""
    with pytest.raises(SettingsError):
        await library.backups.create(ALL, reason=reason)

    assert await library.backups.list(include_removed=True) == []


@pytest.mark.parametrize(
    ("error", "expected", "recorded"),
    [
        (BackupFailed("unreadable"), "^unreadable$", "unreadable"),
        (BackupDamaged("no"), r"failed its verification \(no\)", "The backup failed its verification (no)"),
        (ValueError("a bug"), "a bug", "it was interrupted"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_a_backup_that_is_not_verified_has_failed(library, monkeypatch, error, expected, recorded):
    """A backup that cannot be verified raises why, and its record has failed with that reason."""

    async def fail(*_):
        raise error

    monkeypatch.setattr(verifier, "verify", fail)

    with pytest.raises((BackupFailed, ValueError), match=expected):
        await library.backups.create(ALL)

    (backup,) = await library.backups.list(include_removed=True)
    assert backup.state is BackupState.FAILED
    assert backup.error.startswith(recorded)


async def test_a_backup_is_verified_against_all_its_records(library, monkeypatch):
    """The verification of a backup begins only when the last conversations of its snapshot are recorded."""
    recorded, seen, creation, verify = [], [], library._store.backups.creation, verifier.verify
    add_items = creation.add_items

    async def add_later(*arguments):
        await asyncio.sleep(0.1)
        await add_items(*arguments)
        recorded.append(len(arguments[2]))

    async def verify_then(*arguments):
        seen.extend(recorded)
        await verify(*arguments)

    monkeypatch.setattr(creation, "add_items", add_later)
    monkeypatch.setattr(verifier, "verify", verify_then)

    await library.backups.create(ALL)

    assert seen == [3]


async def test_a_conversation_that_no_backup_can_hold_is_refused(library, monkeypatch):
    """A conversation that is larger than a line of a backup may be is refused by its id."""
    monkeypatch.setattr(writer, "MAX_LINE_BYTES", 10)

    with pytest.raises(BackupFailed, match="Conversation 'c00000' is larger than 10 bytes"):
        await library.backups.create(ALL)


async def test_only_an_imported_backup_that_never_expires_is_pinned(library):
    """An imported backup expires when the original does, and is pinned if the original does not expire."""
    expires_at = SystemClock().now() + 2 * _DAY
    imported = [
        await library.backups.import_backup(
            _import_request(f"backup-{number}-a", moment), library._store.backups.creation.snapshot("local", ALL)
        )
        for number, moment in enumerate((None, expires_at))
    ]

    assert [backup.is_pinned for backup in imported] == [True, False]
    assert imported[1].expires_at == expires_at


async def test_an_import_under_the_id_of_another_owner_is_refused(library, monkeypatch):
    """An import under the id of another owner's backup is refused, and leaves no file."""

    async def no_id_is_unknown(_):
        return []

    monkeypatch.setattr(library._store.backups.records, "unknown_ids", no_id_is_unknown)

    with pytest.raises(BackupUnusable, match="another owner"):
        await library.backups.import_backup(_import_request("backup-1-a"), nullcontext())

    folder, _ = await library.backups.folder()
    assert [path.name for path in folder.iterdir()] == ["folder.json"]


@pytest.mark.parametrize(
    ("error", "expected"), [(FileExistsError, BackupInUse), (PermissionError, BackupFailed)], ids=["exists", "denied"]
)
async def test_an_import_next_to_another_is_refused(library, monkeypatch, error, expected):
    """An import whose part file exists belongs to another process; any other failure is reported as such."""

    def fail(_):
        raise error(1, "no")

    monkeypatch.setattr(BackupDirectory, "_create_locked", staticmethod(fail))

    with pytest.raises(expected) as caught:
        await library.backups.import_backup(_import_request("backup-1-a"), nullcontext())

    assert type(caught.value) is expected


# -- damaged and unreachable files -----------------------------------------------------------------


async def test_damage_is_recorded_once_and_cleared_by_a_verification(library, caplog):
    """A damaged file is recorded and logged once, can only be verified, and is named once by its error."""
    backup = await library.backups.create(ALL)
    path = await library.backups.path_for(backup)
    whole = path.read_bytes()

    for content in (b"not a backup", whole[:-1]):
        path.write_bytes(content)
        with pytest.raises(BackupDamaged) as caught:
            await library.backups.verify(backup.id)
        assert caught.value.message.count(backup.id) == 1
        assert caplog.messages.count("backup_damaged") == 1
    with pytest.raises(BackupUnusable, match="is damaged"):
        await library.backups.plan_restore(backup.id)
    path.write_bytes(whole)
    intact = await library.backups.verify(backup.id)

    assert (intact.state, (await library.backups.plan_restore(backup.id)).new) == ("verified", 0)


async def test_a_backup_that_expires_while_it_is_opened_is_not_read(library, monkeypatch):
    """A backup that is removed between the look at its record and the opening of its file is not read."""
    backup = await library.backups.create(ALL)
    expired = await library.backups.create(ALL)
    assert await library._store.backups.retention.mark_expired(expired, early=True)
    records, looks = library._store.backups.records, []
    look = records.backup

    async def expire_later(owner, backup_id):
        looks.append(backup_id)
        return await look(owner, backup_id if len(looks) < 2 else expired.id)

    monkeypatch.setattr(records, "backup", expire_later)

    with pytest.raises(BackupUnusable, match="has expired"):
        await library.backups.verify(backup.id)


async def test_a_folder_out_of_reach_is_not_read(library):
    """A backup whose folder is gone, or is not the one that was marked, is unreachable and not damaged."""
    backup = await library.backups.create(ALL)
    folder, _ = await library.backups.folder()
    folder.rename(folder.with_name("gone"))

    for _ in range(2):
        with pytest.raises(BackupUnreachable, match=r"The folder of .* cannot be reached") as caught:
            await library.backups.verify(backup.id)
        assert caught.value.remedy is Remedy.FIND_BACKUP_FOLDER
        folder.mkdir(exist_ok=True)

    assert await _state(library, backup) == "verified"


# -- leftovers of dead writers ---------------------------------------------------------------------


@pytest.fixture
async def folder(library):
    """Return the folder for the library's backups, in which one was made."""
    await library.backups.create(ALL)
    path, _ = await library.backups.folder()
    return BackupDirectory(path)


async def _begin(library, backup_id):
    """Record the start of a backup in the default folder."""
    return await library._store.backups.creation.begin(
        "local", backup_id, reason="why", folder=None, host="here", retention=_DAY
    )


async def _foreign(*_):
    return FolderState.FOREIGN


async def _state(library, backup):
    return (await library.backups.show(backup.id)).state


async def test_a_part_file_of_a_dead_writer_is_removed(library, folder, caplog):
    """A cleanup removes the part file of a dead writer and reports that once; a dry run leaves it."""
    caplog.set_level("INFO")
    folder.create("backup-1-a").close(keep=True)
    part = folder.part_path("backup-1-a")

    await library.backups.cleanup(dry_run=True)
    kept = part.exists()
    for _ in range(2):
        await library.backups.cleanup()

    assert (kept, part.exists()) == (True, False)
    assert caplog.messages.count("part_files_removed") == 1


async def test_a_part_file_in_the_folder_of_another_database_is_left_alone(library, folder, monkeypatch):
    """The part files in a folder that belongs to another database are not removed."""
    folder.create("backup-1-a").close(keep=True)
    monkeypatch.setattr(BackupLocations, "state", _foreign)

    await library.backups.remove_leftovers()

    assert folder.part_path("backup-1-a").exists()


async def test_only_backups_of_dead_writers_are_marked_as_failed(library, folder, monkeypatch):
    """A running backup without a writer has failed and loses its file; those that are written or in use stay."""
    dead, living = await _begin(library, "backup-1-a"), await _begin(library, "backup-1-b")
    published = folder.create(dead.id)
    published.publish()
    published.close(keep=True)
    part_file = folder.create(living.id)
    in_use = await library._store.backups.creation.mark_verified(
        await _begin(library, "backup-1-c"), SealedFile(0, 0, 1, 1, b"s"), deleting=True
    )
    marked, mark = [], library._store.backups.records.mark_failed

    async def mark_failed(backup, message):
        marked.append(backup.id)
        return await mark(backup, message)

    monkeypatch.setattr(library._store.backups.records, "mark_failed", mark_failed)

    await library.backups.remove_leftovers()
    part_file.close(keep=False)

    assert marked == [dead.id]
    assert [await _state(library, backup) for backup in (dead, living, in_use)] == ["failed", "running", "verified"]
    assert not folder.has(dead.id)


async def test_a_backup_that_was_verified_meanwhile_keeps_its_file(library, folder, monkeypatch):
    """A backup whose writer ended after its record was read keeps its file."""
    backup = await _begin(library, "backup-1-a")
    published = folder.create(backup.id)
    published.publish()
    published.close(keep=True)

    async def mark_failed(*_):
        return False

    monkeypatch.setattr(library._store.backups.records, "mark_failed", mark_failed)

    await library.backups.remove_leftovers()

    assert folder.has(backup.id)


@pytest.mark.parametrize(
    ("method", "is_old", "expected"),
    [("is_elsewhere", False, "running"), ("is_elsewhere", True, "failed"), ("is_unreachable", True, "running")],
)
async def test_a_writer_that_cannot_be_seen_may_be_alive(library, folder, clock, monkeypatch, method, is_old, expected):
    """A backup in a folder that cannot be reached is being written; one of another machine, for a day at most."""
    backup = await _begin(library, "backup-1-a")
    if is_old:
        clock.ahead = _DAY

    async def true_later(*_):
        return True

    monkeypatch.setattr(BackupLocations, method, true_later if method == "is_unreachable" else lambda *_: True)

    await library.backups.remove_leftovers()

    assert await _state(library, backup) == expected


# -- cleanups and removals -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "is_due"),
    [(None, True), (_DAY, True), (_DAY - timedelta(minutes=5), False), (-timedelta(minutes=5), True)],
    ids=["never", "a day ago", "less", "in the future"],
)
async def test_a_cleanup_is_due_a_day_after_the_last(library, monkeypatch, since, is_due):
    """The daily cleanup runs if the last one was never, a day ago or, by a wrong clock, in the future."""
    cleanings = []

    async def last_cleanup(_):
        return None if since is None else SystemClock().now() - since

    async def clean(_):
        cleanings.append(1)

    monkeypatch.setattr(library._store.backups.retention, "last_cleanup", last_cleanup)
    monkeypatch.setattr(Cleaner, "clean", clean)

    await library.backups.create(ALL)

    assert bool(cleanings) is is_due


async def test_files_that_belong_to_no_backup_are_removed_on_request(library, folder):
    """A cleanup reports files that belong to no backup, and removes them only if that is asked for."""
    orphan = folder.path_for("backup-9-z")
    orphan.write_bytes(b"")

    reported = await library.backups.cleanup()
    dry = await library.backups.cleanup(orphans=True, dry_run=True)
    kept = orphan.exists()
    removed = await library.backups.cleanup(orphans=True)

    assert [list(result.orphans) for result in (reported, dry, removed)] == [["backup-9-z"]] * 3
    assert [result.orphans_removed for result in (reported, dry, removed)] == [False, False, True]
    assert (kept, orphan.exists()) == (True, False)


async def test_orphans_of_an_unknown_folder_are_left_alone(library, folder, monkeypatch):
    """A cleanup of orphans is refused in a folder that is not known to be this library's; other cleanups are not."""

    async def problem(*_):
        return "it belongs to another database", Remedy.CHOOSE_BACKUP_FOLDER

    monkeypatch.setattr(BackupLocations, "problem", problem)

    await library.backups.cleanup()
    with pytest.raises(BackupFolderUnrecognized):
        await library.backups.cleanup(orphans=True)


async def test_a_cleanup_without_backups_does_nothing(backstay):
    """A cleanup of a library in which no backup was made removes nothing."""
    result = await backstay.backups.cleanup()

    assert (list(result.decisions), list(result.orphans)) == ([], [])


async def test_a_backup_is_removed_once(library, folder):
    """A removed backup cannot be removed again; one whose removal was interrupted after its record can."""
    (made,) = await library.backups.list()
    interrupted = await library.backups.create(ALL)
    assert await library._store.backups.retention.mark_expired(interrupted, early=True)

    for backup in (made, interrupted):
        await library.backups.delete(backup.id)
        with pytest.raises(BackupUnusable, match="has already been removed"):
            await library.backups.delete(backup.id)

    assert folder.backup_ids() == []


async def test_a_backup_that_is_needed_is_not_removed(library, folder):
    """A backup that is pinned, needed by its delete or being written is not removed, and the error says which."""
    (pinned,) = await library.backups.list()
    await library.backups.pin(pinned.id)
    running = await _begin(library, "backup-1-a")
    in_use = await library._store.backups.creation.mark_verified(
        await _begin(library, "backup-1-b"), SealedFile(0, 0, 1, 1, b"s"), deleting=True
    )

    for backup, obstacle in (
        (pinned, "is pinned"),
        (running, "is being written"),
        (in_use, "is needed by its unfinished delete"),
    ):
        with pytest.raises(BackupInUse, match=obstacle):
            await library.backups.delete(backup.id)

    assert folder.has(pinned.id)


@pytest.mark.parametrize("is_foreign", [True, False], ids=["foreign", "unreachable"])
async def test_a_file_out_of_reach_is_not_removed(library, folder, monkeypatch, is_foreign):
    """A file that another database owns is forgotten and left; one that cannot be reached is left and reported."""
    (backup,) = await library.backups.list()
    await library.backups.cleanup(at_once=True)

    async def unreachable(*_):
        return not is_foreign

    async def no_problem(*_):
        return None

    monkeypatch.setattr(BackupLocations, "problem", no_problem)
    monkeypatch.setattr(BackupLocations, "is_unreachable", unreachable)
    if is_foreign:
        monkeypatch.setattr(BackupLocations, "state", _foreign)

    with nullcontext() if is_foreign else pytest.raises(BackupUnreachable, match="cannot be reached"):
        await library.backups.delete(backup.id)

    assert folder.has(backup.id)
    assert ((await library.backups.show(backup.id)).removed_at is not None) is is_foreign


async def test_a_cleanup_removes_what_it_can_reach(library, folder, clock, monkeypatch):
    """A cleanup removes the files that it can reach, then reports the one that it cannot."""
    (lost,) = await library.backups.list()
    await library.backups.create(ALL)

    async def is_unreachable(_, backup, __):
        return backup.id == lost.id

    monkeypatch.setattr(BackupLocations, "is_unreachable", is_unreachable)
    clock.ahead = 8 * _DAY

    with pytest.raises(BackupUnreachable, match=lost.id):
        await library.backups.cleanup(at_once=True)

    assert folder.backup_ids() == [lost.id]


async def test_the_removal_of_a_damaged_backup_is_logged(library, folder, clock, caplog):
    """A cleanup that removes a damaged backup logs that, and one that removes an intact one does not."""
    (damaged,) = await library.backups.list()
    await library.backups.create(ALL)
    assert await library._store.backups.records.mark_damaged(damaged)
    clock.ahead = 8 * _DAY

    await library.backups.cleanup(at_once=True)

    warned = [record.backup for record in caplog.records if record.msg == "damaged_backup_removed"]
    assert warned == [damaged.id]
    assert folder.backup_ids() == []
