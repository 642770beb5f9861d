"""`backstay backups …`, `conversations import` and `conversations delete`."""

import json
import re

import apsw
import pytest

from backstay.storage.sql.deletes import SqlDeletes
from support.stores.library import rows

_ID = re.compile(r"backup-\d+-[0-9a-f]{20}")


@pytest.fixture
def library(within, backstay):
    """Import thirty conversations, and return the digest of their native export."""
    (backstay.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(30)), encoding="utf-8")
    assert within("conversations", "import", "rows.jsonl").code == 0
    return _exported(within, backstay)


def _exported(within, backstay) -> bytes:
    assert within("conversations", "export", "--all", "--format", "native", "-o", "out.jsonl").code == 0
    return (backstay.folder / "out.jsonl").read_bytes()


def _sql(backstay, statement: str) -> None:
    connection = apsw.Connection(str(backstay.database))
    connection.execute(statement)
    connection.close()


def test_import_reports_its_result(within, backstay, library):
    """An import reports its result as text and as JSON; a second import finds everything already stored."""
    ended = within("conversations", "import", "rows.jsonl")
    answer = within("conversations", "import", "rows.jsonl", "--json")

    assert ended.out == "rows.jsonl: 0 conversations imported, 30 were already stored.\n"
    counts = {"imported": 0, "identical": 30, "skipped": 0, "renamed": 0, "relinked": 0}
    import_id = answer.json["importId"]
    assert import_id.startswith("import-")
    assert answer.json == {
        **counts,
        "importId": import_id,
        "badRows": 0,
        "badRowReasons": [],
        "warned": 0,
        "warnings": [],
        "notes": [],
    }


def test_import_puts_a_prefix_before_ids(within, backstay):
    """With --id-prefix, the ids of a file begin with it."""
    (backstay.folder / "in.csv").write_text("id,prompt,completion\n0,Q,A\n")

    assert within("conversations", "import", "in.csv", "--id-prefix", "faq-").code == 0

    assert within("conversations", "export", "--format", "native").json["id"] == "faq-0"


def test_import_splits_off_reasoning_on_request(within, backstay):
    """With --split-reasoning, a thought at the start of an answer is the reasoning of its turn."""
    turns = [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "<think>Hm.</think>A"}]
    (backstay.folder / "in.jsonl").write_text(json.dumps({"id": "x", "conversations": turns}))

    assert within("conversations", "import", "in.jsonl", "--split-reasoning").code == 0

    stored = within("conversations", "export", "--all", "--format", "native").json["conversation_turns"][1]
    assert (stored["content"], stored["metadata"]) == ("A", {"reasoning": "Hm."})


def test_a_delete_is_undone_by_the_command_it_prints(within, backstay, library):
    """The undo command that a delete prints restores the library byte for byte."""
    deleted = within("conversations", "delete", "--all", "--yes")
    empty = within("conversations", "list", "--json").json["conversations"]
    command = deleted.err.rpartition("Undo with: backstay ")[2].split()
    undone = within(*command)

    assert deleted.out == "30 conversations deleted.\n"
    assert re.search(r"A verified backup holds them, kept until \d{4}-\d\d-\d\dT\d\d:\d\dZ\.\nUndo with: ", deleted.err)
    assert empty == []
    assert undone.out == f"{command[-1]}: 30 conversations restored.\n"
    assert _exported(within, backstay) == library


def test_a_delete_answers_with_an_object(within, library):
    """With --json a delete prints one object, which contains the undo command."""
    answer = within("conversations", "delete", "c00001", "c00002", "--yes", "--json").json

    backup = answer["backupId"]
    assert _ID.fullmatch(backup)
    assert answer == {
        "backupId": backup,
        "deleted": 2,
        "changed": 0,
        "gone": 0,
        "changedIds": [],
        "goneIds": [],
        "undo": f"backstay backups restore {backup}",
        "erased": False,
    }


def test_a_dry_run_shows_the_plan_and_does_nothing(within, backstay, library):
    """A dry run of a delete prints counts and a sample, and deletes nothing."""
    ended = within("conversations", "delete", "--all", "--dry-run")
    plan = within("conversations", "delete", "--search", "😀", "--dry-run", "--json").json

    assert ended.out.splitlines() == [
        "30 conversations with 60 turns, about 133.3 kB, would be deleted:",
        *(f"  c0000{number}  topic {number}, 2 turns" for number in range(5)),
        "  and 25 more",
    ]
    assert (plan["conversations"], plan["turns"], len(plan["sample"])) == (30, 60, 5)
    assert within("backups", "list", "--json").json == {"backups": [], "nextCursor": None}
    assert _exported(within, backstay) == library


def test_a_delete_asks_on_a_terminal(backstay, library):
    """On a terminal a delete shows its plan and asks; any answer but yes deletes nothing."""
    refused = backstay.on_terminal("conversations", "delete", "c00001", typed=[(b"[y/N]", b"n\n")])
    ended = backstay.on_terminal("conversations", "delete", "c00001", typed=[(b"[y/N]", b"y\n")])

    assert refused.code == 1
    assert "1 conversation with 2 turns, about 4.8 kB, would be deleted:" in refused.out
    assert "Back up and delete 1 conversation, about 4.8 kB? [y/N]" in refused.out
    assert "Nothing was done." in refused.out
    assert ended.code == 0
    assert "1 conversation deleted." in ended.out


def test_a_delete_without_a_backup_asks_apart(backstay, library):
    """A delete without a backup asks a second time, and says that nothing can be restored."""
    ended = backstay.on_terminal(
        "conversations", "delete", "c00001", "--no-backup", typed=[(b"[y/N]", b"y\n"), (b"permanently", b"y\n")]
    )

    assert ended.code == 0
    assert "Delete 1 conversation without a backup? [y/N]" in ended.out
    assert "They cannot be restored. Delete them permanently? [y/N]" in ended.out


def test_a_permanent_delete_asks_nothing(within, library):
    """A delete with --no-backup, --permanently and --yes asks nothing and makes no backup."""
    ended = within("conversations", "delete", "c00001", "--no-backup", "--permanently", "--yes")

    assert (ended.code, ended.out) == (0, "1 conversation deleted.\n")
    assert within("backups", "list", "--json").json["backups"] == []


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "Nothing is selected"),
        (["--all"], 2, "confirm with --yes"),
        (["--all", "--job", "x", "--yes"], 2, "--all cannot be combined"),
        (["--job", "none", "--yes"], 1, "Job 'none' not found"),
        (["--search", "", "--yes"], 2, "--search is empty"),
        (["--older-than", "soon", "--yes"], 2, "--older-than must be a number followed by s, m, h, d or w"),
        (["--older-than", "999999w", "--yes"], 2, "--older-than is too long ago"),
        (["c00001", "--expires-in", "0d", "--yes"], 2, "--expires-in must be a number"),
        (["c00001", "--reason", "two\nlines", "--yes"], 2, "A reason is one line"),
        (["c00001", "none", "other", "--yes"], 1, "Conversations 'none', 'other' not found, so nothing was done"),
        (["c00001", "--no-backup", "--yes"], 2, "--permanently"),
        (["c00001", "--permanently", "--yes"], 2, "--permanently needs --no-backup"),
        (["c00001", "--continue", "backup-1-a"], 2, "takes no other selection"),
        (["--continue", "backup-1-a"], 1, "Backup 'backup-1-a' not found"),
        (["--continue", "../../etc"], 1, "Backup '../../etc' not found"),
    ],
)
def test_unclear_deletes_are_refused(within, backstay, library, words, code, message):
    """A delete with unclear options is refused in one line, and deletes nothing."""
    ended = within("conversations", "delete", *words)

    assert ended.code == code
    assert message in ended.one_line_error()
    assert _exported(within, backstay) == library


def test_missing_ids_may_be_ignored(within, library):
    """With --ignore-missing a delete skips unknown ids and deletes the others."""
    ended = within("conversations", "delete", "c00001", "none", "--ignore-missing", "--yes")

    assert (ended.code, ended.out) == (0, "1 conversation deleted.\n")


def test_conversations_that_change_meanwhile_are_kept_and_named(within, backstay, library, monkeypatch):
    """A delete keeps and lists conversations that change meanwhile, and exits with 3."""
    step = SqlDeletes.delete_step

    async def meddled(self, backup, **options):
        _sql(backstay, "UPDATE turns SET content = 'newer' WHERE conversation_key = 2")
        return await step(self, backup, **options)

    monkeypatch.setattr(SqlDeletes, "delete_step", meddled)
    ended = within("conversations", "delete", "c00000", "c00001", "--yes")

    assert ended.code == 3
    assert ended.out == (
        "1 conversation deleted.\n1 conversation not deleted: changed meanwhile, or kept by a trigger (c00001).\n"
    )


def test_an_interrupted_delete_says_how_to_continue(within, backstay, library, monkeypatch):
    """An interrupted delete prints how to continue or undo it; `backups list` and doctor do so until it is finished."""
    step, steps = SqlDeletes.delete_step, []

    async def interrupted(self, backup, **options):
        steps.append(backup)
        if len(steps) == 2:
            raise KeyboardInterrupt
        return await step(self, backup, **options)

    monkeypatch.setattr(SqlDeletes, "delete_step", interrupted)
    ended = within("conversations", "delete", "--all", "--yes")
    monkeypatch.undo()
    monkeypatch.chdir(backstay.folder)
    backup = _ID.search(ended.err)[0]
    listed = within("backups", "list")
    checked = within("doctor")
    outcome = within("backups", "delete", backup, "--yes")
    _sql(backstay, "UPDATE backups SET expires_at = 1")
    cleaned = within("backups", "cleanup")
    result = within("conversations", "delete", "--continue", backup)
    again = within("conversations", "delete", "--continue", backup)

    assert ended.code == 130
    assert "Interrupted after 16 of 30 conversations." in ended.err
    assert f"Continue with: backstay conversations delete --continue {backup}\n" in ended.err
    assert f"Undo with: backstay backups restore {backup}\n" in ended.err
    assert f"The delete of {backup} is unfinished.\n  continue with  backstay " in listed.err
    assert f"the delete of {backup} is unfinished" in checked.out
    assert outcome.one_line_error().endswith(
        f"is needed by its unfinished delete; `backstay conversations delete --continue {backup}` finishes its delete"
    )
    assert cleaned.out == f"kept         {backup}: its delete is unfinished\n"
    assert result.out == "30 conversations deleted.\n"
    assert again.out == "This delete is already finished: 30 conversations deleted, nothing to do.\n"
    assert within("conversations", "list", "--json").json["conversations"] == []


def _interrupted_delete(within, backstay, monkeypatch) -> str:
    """Delete all with Ctrl-C before the second step; return the id of the backup."""
    step, steps = SqlDeletes.delete_step, []

    async def interrupted(self, backup, **options):
        steps.append(backup)
        if len(steps) == 2:
            raise KeyboardInterrupt
        return await step(self, backup, **options)

    monkeypatch.setattr(SqlDeletes, "delete_step", interrupted)
    ended = within("conversations", "delete", "--all", "--yes")
    monkeypatch.undo()
    monkeypatch.chdir(backstay.folder)
    return _ID.search(ended.err)[0]


def test_an_interrupted_delete_may_be_undone(within, backstay, library, monkeypatch):
    """An interrupted delete that was undone is finished, and cannot be continued by mistake."""
    backup = _interrupted_delete(within, backstay, monkeypatch)

    ended = within("backups", "restore", backup, "c00001")
    undone = within("backups", "restore", backup)
    refused = within("conversations", "delete", "--continue", backup)

    assert ended.out == f"{backup}: 1 conversation restored.\n"
    assert undone.out == f"{backup}: 15 conversations restored, 15 were already stored.\n"
    assert refused.one_line_error() == f"{backup} is undone; it has no delete to resume"
    assert within("backups", "list", "--json").json["backups"][0]["deletion"]["state"] == "undone"
    assert _exported(within, backstay) == library


def test_a_backup_is_made_shown_verified_and_downloaded(within, backstay, library):
    """A backup is created, shown, verified and downloaded as JSON, with the documented fields."""
    made = within("backups", "create", "--persona", "Ünïcode", "--reason", "trial", "--expires-in", "2w", "--json").json
    backup = made["backupId"]
    ended = within("backups", "show", backup)
    verified = within("backups", "verify", backup)
    downloaded = within("backups", "download", backup, "-o", "backup.json")
    piped = within("backups", "download", backup)

    assert made["filePath"] == f"/backups/{backup}.json"
    assert (made["conversationCount"], made["state"], made["reason"]) == (15, "verified", "trial")
    assert made["expiresAt"][:7] > made["createdAt"][:7] or made["expiresAt"][8:10] > made["createdAt"][8:10]
    assert ended.out.startswith(f"{backup}: verified\n  holds      15 conversations, 30 turns\n")
    assert verified.out.startswith(f"{backup}: intact, 15 conversations, ")
    assert downloaded.code == 0
    assert piped.out.encode() == (backstay.folder / "backup.json").read_bytes()
    assert len(json.loads(piped.out)["conversations"]) == 15


def test_a_download_never_overwrites_the_database(within, backstay, library):
    """A download of a backup to the file of the database is refused, and the library stays as it was."""
    backup = within("backups", "create", "--all", "--json").json["backupId"]
    before = within("conversations", "list").out

    ended = within("backups", "download", backup, "-o", ".backstay/backstay.db")

    assert ended.code == 1
    assert "belongs to the database" in ended.one_line_error()
    assert within("conversations", "list").out == before


def test_nothing_is_written_among_the_backups(within, backstay, library):
    """A download or an export into a folder of backups is refused, and the backups stay intact."""
    backup = within("backups", "create", "--all", "--json").json["backupId"]
    (file,) = backstay.folder.rglob(f"{backup}.json.zst")

    over_itself = within("backups", "download", backup, "-o", str(file))
    exported = within("conversations", "export", "--all", "-o", str(file.parent / "new.jsonl"))

    for ended in (over_itself, exported):
        assert ended.code == 1
        assert "is in a folder of backups" in ended.one_line_error()
    assert within("backups", "verify", backup).code == 0
    assert not (file.parent / "new.jsonl").exists()


def test_a_backup_of_nothing_leaves_no_trace(within, library):
    """A backup of an empty selection leaves neither a file nor a record."""
    nothing = within("backups", "create", "--job", "none")
    unknown = within("backups", "create", "c00001", "none")

    assert (nothing.code, unknown.code) == (2, 1)
    assert "No conversation is selected" in nothing.one_line_error()
    assert "Conversation 'none' not found" in unknown.one_line_error()
    assert within("backups", "list", "--every", "--json").json == {"backups": [], "nextCursor": None}


def test_a_pinned_backup_stays(within, library):
    """A pinned backup does not expire until it is unpinned."""
    backup = within("backups", "create", "--all", "--json").json["backupId"]

    pinned = within("backups", "pin", backup)
    refused = within("backups", "delete", backup, "--yes")
    within("backups", "unpin", backup)
    removed = within("backups", "delete", backup, "--yes")
    gone = within("backups", "restore", backup)

    assert pinned.out == f"{backup}: pinned.\n"
    assert refused.one_line_error() == f"{backup} is pinned; `backstay backups unpin {backup}` unpins it"
    assert removed.out == f"{backup}: removed.\n"
    assert gone.one_line_error() == f"{backup} has been removed"
    assert f"{backup}\tremoved\t" in within("backups", "list", "--every").out
    assert f"{backup}: removed\n" in within("backups", "show", backup).out
    assert within("backups", "list", "--json").json == {"backups": [], "nextCursor": None}
    assert within("backups", "list", "--every", "--json").json["backups"][0]["state"] == "expired"


def test_a_backup_that_a_delete_needs_has_no_expiry_time(within, backstay, library, monkeypatch):
    """`unpin` says that a backup does not expire while its delete is unfinished."""
    backup = _interrupted_delete(within, backstay, monkeypatch)
    within("backups", "pin", backup)

    unpinned = within("backups", "unpin", backup)

    assert unpinned.out == f"{backup}: does not expire while its delete is unfinished.\n"


def test_cleanup_says_why(within, backstay, library):
    """Cleanup prints its reasons; a dry run removes nothing, and orphans are removed only with --orphans."""
    old = within("backups", "create", "--all", "--json").json["backupId"]
    _sql(backstay, "UPDATE backups SET expires_at = created_at")
    (folder,) = (backstay.database.parent / "backstay.backups").iterdir()
    (folder / "backup-1-stray.json.zst").write_bytes(b"x")

    first = within("backups", "cleanup")
    dry = within("backups", "cleanup", "--dry-run", "--now")
    waiting = within("backups", "cleanup", "--dry-run")
    still = list(folder.iterdir())
    ended = within("backups", "cleanup", "--now")
    remaining = [path.name for path in folder.glob("*.zst")]
    last = within("backups", "cleanup", "--orphans", "--json").json

    assert re.match(f"expired      {old}: it expired at .*, and will be removed after 20", first.out)
    assert waiting.out == first.out
    assert re.match(f"would remove {old}: it expired at ", dry.out)
    assert "orphan       backup-1-stray: belongs to no backup" in dry.out
    assert len(still) == 3
    assert f"removed      {old}: it expired" in ended.out
    assert remaining == ["backup-1-stray.json.zst"]
    assert (last["orphans"], last["orphansRemoved"]) == (["backup-1-stray"], True)
    assert [path.name for path in folder.iterdir()] == ["folder.json"]


def test_cleanup_refuses_a_clock_that_went_back(within, backstay, library):
    """Cleanup with a clock that is behind names the newer backup, and both of its remedies work."""
    old, ahead = (within("backups", "create", "--all", "--json").json["backupId"] for _ in range(2))
    _sql(backstay, f"UPDATE backups SET created_at = created_at + 86400000000 WHERE id = '{ahead}'")
    _sql(backstay, f"UPDATE backups SET expires_at = 1 WHERE id = '{old}'")

    refused = within("backups", "cleanup")
    dry = within("backups", "cleanup", "--now", "--dry-run")
    removed = within("backups", "delete", ahead, "--yes")
    ended = within("backups", "cleanup")

    assert refused.code == 1
    assert f"but {ahead} was made at 20" in refused.one_line_error()
    assert "Nothing was removed. Set the clock; if it was wrong when that backup was made" in refused.err
    assert f"`backstay backups delete {ahead}` removes the one from the future" in refused.err
    assert f"would remove {old}" in dry.out
    assert (removed.code, ended.code) == (0, 0)
    assert ended.out.startswith(f"expired      {old}")


def test_a_missing_file_is_mentioned(within, library, tmp_path):
    """A backup whose file is gone is listed and shown with that, since nothing can be restored from it."""
    backup = within("conversations", "delete", "c00001", "--yes", "--json").json["backupId"]
    whole = within("backups", "list").out
    (file,) = tmp_path.rglob(f"{backup}.json.zst")
    aside = file.rename(tmp_path / "aside")

    listed, shown = within("backups", "list"), within("backups", "show", backup)
    missing = within("backups", "list", "--json").json["backups"][0]["fileMissing"]
    aside.rename(file)

    assert "file missing" not in whole
    assert f"{backup}\tverified, file missing, deleted\t" in listed.out
    assert "file missing" in shown.out
    assert missing is True
    assert within("backups", "list").out == whole


def test_a_restore_shows_its_plan(within, backstay, library):
    """A restore plan counts new, identical and conflicting conversations, and says what --on-conflict would do."""
    backup = within("conversations", "delete", "c00001", "c00002", "c00003", "--yes", "--json").json["backupId"]
    within("backups", "restore", backup, "c00001", "c00002")
    _sql(backstay, "UPDATE conversations SET topic = 'other' WHERE id = 'c00002'")

    plan = within("backups", "restore", backup, "--dry-run")
    skipping = within("backups", "restore", backup, "--dry-run", "--on-conflict", "skip")
    replacing = within("backups", "restore", backup, "--dry-run", "--on-conflict", "replace")
    refused = within("backups", "restore", backup)
    unasked = within("backups", "restore", backup, "--on-conflict", "replace")
    ended = within("backups", "restore", backup, "--on-conflict", "replace", "--yes")

    assert plan.out.splitlines() == [
        "Nothing would be restored with --on-conflict fail, because of a conflict.",
        "1 is already stored, unchanged.",
        "1 is in conflict:",
        "  c00002: is stored with other content",
    ]
    assert [dry.out.splitlines()[::2] for dry in (skipping, replacing)] == [
        ["1 conversation would be restored.", "1 is in conflict, and would be skipped:"],
        [
            "2 conversations would be restored.",
            "1 is in conflict, and what is stored would be backed up and replaced:",
        ],
    ]
    assert "conversation 'c00002' exists with other content; --on-conflict skip" in refused.one_line_error()
    assert (unasked.code, "--yes" in unasked.one_line_error()) == (2, True)
    assert (
        ended.out == f"{backup}: 2 conversations restored, 1 of them in place of a stored one, 1 was already stored.\n"
    )
    assert _exported(within, backstay) == library


def test_reading_commands_make_no_database(within, backstay):
    """Commands that only read create neither a database nor a backup folder."""
    for words in (["backups", "list"], ["backups", "cleanup"], ["conversations", "delete", "--all", "--yes"]):
        assert within(*words).one_line_error().startswith("There is no database at ")
    assert not (backstay.folder / ".backstay").exists()


def test_a_delete_that_finds_nothing_has_done_its_work(within, library):
    """A delete that matches nothing exits with 0; an unknown job or id is an error."""
    for words in (("--older-than", "300w"), ("--search", "no such words"), ("--persona", "nobody")):
        ended = within("conversations", "delete", *words, "--yes")
        assert (ended.code, ended.out, ended.err) == (0, "Nothing to delete.\n", "")
    answer = within("conversations", "delete", "--older-than", "300w", "--yes", "--json")
    planned = within("conversations", "delete", "--older-than", "300w", "--dry-run", "--json")
    mistyped = within("conversations", "delete", "--job", "tpoics", "--yes")
    unsaid = within("conversations", "delete", "--yes")

    assert (answer.code, answer.json["deleted"], answer.json["backupId"]) == (0, 0, None)
    assert (planned.code, planned.json["conversations"]) == (0, 0)
    assert mistyped.code == 1
    assert "Job 'tpoics' not found" in mistyped.one_line_error()
    assert unsaid.code == 2


def test_a_mistyped_job_is_not_exported(within, library):
    """An export of an unknown job is refused, even to standard output."""
    ended = within("conversations", "export", "--job", "tpoics")

    assert (ended.code, ended.out) == (1, "")
    assert "Job 'tpoics' not found" in ended.one_line_error()


def test_doctor_misses_the_file_of_a_backup(within, backstay, library):
    """Doctor names a backup whose file is missing."""
    backup = within("backups", "create", "--all", "--json").json["backupId"]
    sound = within("doctor")
    (file,) = backstay.folder.rglob(f"{backup}.json.zst")
    file.rename(file.with_name("elsewhere"))

    ended = within("doctor")

    assert "1 verified, their files are present" in sound.out
    assert (sound.code, ended.code) == (0, 1)
    assert f"backup files are missing: {backup}; nothing can be restored from them" in ended.out


def test_doctor_reads_backups_when_it_looks_deep(within, backstay, library):
    """`doctor --deep` records and names a damaged backup with its remedy, until its file is back and verified."""
    backup = within("backups", "create", "--all", "--json").json["backupId"]
    (file,) = backstay.folder.rglob(f"{backup}.json.zst")
    whole = file.read_bytes()
    file.write_bytes(whole[:-100] + bytes(100))

    shallow = within("doctor")
    deep = within("doctor", "--deep")
    listed, output = within("backups", "list"), within("backups", "show", backup)
    known = within("doctor")
    file.write_bytes(whole)
    back = within("doctor", "--deep")
    verified = within("backups", "verify", backup)
    sound = within("doctor", "--deep")

    assert (shallow.code, deep.code, known.code, back.code, sound.code) == (0, 1, 1, 0, 0)
    assert f"{backup} is damaged: it cannot be restored, and its delete cannot continue" in deep.out
    assert f"{backup} is damaged since 20" in known.out
    assert f"replace its file with an intact copy, then `backstay backups verify {backup}`" in known.out
    assert "damaged since 20" in listed.out
    assert output.out.startswith(f"{backup}: damaged since 20")
    assert "its file is intact again" in back.out
    assert f"→ `backstay backups verify {backup}`" in back.out
    assert verified.out.startswith(f"{backup}: intact, 30 conversations")
    assert "1 verified, read and unchanged" in sound.out


def test_an_unfinished_delete_of_a_damaged_backup_names_its_remedies(within, backstay, library, monkeypatch):
    """An unfinished delete with a damaged backup offers neither resume nor undo, and its remedies work."""
    backup = _interrupted_delete(within, backstay, monkeypatch)
    (file,) = backstay.folder.rglob(f"{backup}.json.zst")
    file.write_bytes(file.read_bytes()[:-100])
    within("backups", "verify", backup)

    listed, checked = within("backups", "list"), within("doctor")
    refused = [within("conversations", "delete", "--continue", backup), within("backups", "restore", backup)]
    given_up = within("backups", "delete", backup, "--yes")

    assert "the backup is damaged since 20" in listed.err
    assert f"backstay backups verify {backup}" in listed.err
    assert f"`backstay backups delete {backup}` abandons the delete" in checked.out
    assert "--continue" not in listed.err + checked.out
    assert [ended.code for ended in refused] == [1, 1]
    assert given_up.out == f"{backup}: removed.\n"
    assert "unfinished" not in within("backups", "list").err


@pytest.mark.parametrize("words", ["verify", "restore", "download"])
def test_a_damaged_backup_is_named_with_what_to_do(within, backstay, library, words):
    """Every command that needs a damaged backup names it and its remedy."""
    backup = within("backups", "create", "--all", "--json").json["backupId"]
    (file,) = backstay.folder.rglob(f"{backup}.json.zst")
    file.write_bytes(file.read_bytes()[:-100])

    ended = within("backups", words, backup)

    assert ended.code == 1
    message = ended.err.splitlines()[-1]
    assert message.startswith("Error: ")
    assert backup in message
    assert message.endswith(f"eplace its file with an intact copy, then `backstay backups verify {backup}`")


def test_a_restore_over_a_reimport_says_that_only_times_differ(within, backstay, library):
    """A restore over reimported conversations reports that only their times differ."""
    deleted = within("conversations", "delete", "c00000", "c00001", "--yes", "--json").json
    bare = [{name: value for name, value in row.items() if name != "created_at"} for row in rows(2)]
    (backstay.folder / "again.jsonl").write_text("".join(json.dumps(row) + "\n" for row in bare), encoding="utf-8")
    within("conversations", "import", "again.jsonl")
    _sql(
        backstay,
        "UPDATE turns SET content = 'newer' WHERE conversation_key IN"
        " (SELECT key FROM conversations WHERE id = 'c00001') AND sequence = 1",
    )

    refused = within("backups", "restore", deleted["backupId"])
    planned = within("backups", "restore", deleted["backupId"], "--dry-run")

    assert "conversation 'c00000' exists with the same content and other times, and 1 more" in refused.one_line_error()
    assert "  c00000: is stored with the same content and other times\n" in planned.out
    assert "  c00001: is stored with other content\n" in planned.out
