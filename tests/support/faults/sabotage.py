"""Ways to switch off one protection of the engine in this process, and to die at a chosen instant.

A fault test whose checker stays silent with the protection switched off proves nothing; these are the controls.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import apsw

from backstay.backup.deleter import DeleteService
from backstay.backup.directory import BackupDirectory
from backstay.backup.writer import BackupWriter
from backstay.batch import committer, liveness
from backstay.batch.runner import JobRunner
from backstay.batch.store import Claim, CommitReport, Lease
from backstay.errors import BackupError
from backstay.library.deletion import DeletePlan, DeleteResult
from backstay.storage.postgres import queries as server_queries
from backstay.storage.postgres import write_connection
from backstay.storage.sql import conversations, expiring_values, jobs, verdicts, work
from backstay.storage.sql.database import Session
from backstay.storage.sqlite import database, file_identity, queries, schema_migration, session

Put = Callable[[object, str, object], None]

_replace: Put = setattr

_REPLACE_ATTEMPTS = """
INSERT INTO {schema}.attempts (job_key, position, number, owner, worker, result, error_code, error_message, raw,
                               tokens_in, tokens_out, started_at, ended_at, traceback)
{rows:bigint,bigint,integer,text,bigint,text,text,text,text,bigint,bigint,bigint,bigint,text}
    ON CONFLICT (job_key, position, number) DO UPDATE SET worker = excluded.worker
"""


def switch_off(protection: str, put: Put = setattr) -> None:
    """Switch off one or several, with commas between them, of the protections that are listed below.

    For good, unless `put` remembers what was there, as that of a `MonkeyPatch` does.
    """
    for each in protection.split(","):
        _PROTECTIONS[each](put)


def die_at_commit(when: str, number: int) -> None:
    """Have this process killed right `before` or `after` its `number`-th write transaction is committed."""
    count = 0
    commit = database.in_transaction

    def counted(
        connection: apsw.Connection, begin: str, function: Callable[[apsw.Connection], object], path: Path
    ) -> object:
        nonlocal count
        count += begin == "BEGIN IMMEDIATE"
        if begin != "BEGIN IMMEDIATE" or count != number:
            return commit(connection, begin, function, path)

        def last(connection: apsw.Connection) -> object:
            result = function(connection)
            if when == "before":
                _die()
            return result

        result = commit(connection, begin, last, path)
        _die()
        return result

    _replace(database, "in_transaction", counted)
    _replace(schema_migration, "in_transaction", counted)
    made = write_connection.WriteConnection.commit

    def commit_counted(self: write_connection.WriteConnection, patience_seconds: float) -> None:
        nonlocal count
        count += 1
        if count == number and when == "before":
            _die()
        made(self, patience_seconds)
        if count == number:
            _die()

    _replace(write_connection.WriteConnection, "commit", commit_counted)


def freeze_within_commit(number: int) -> None:
    """Stop this process, as a closed lid does, in its `number`-th commit of results, right after it was let through."""
    count, write = 0, verdicts.write_verdicts

    def stopping(*arguments: Any) -> None:
        nonlocal count
        count += bool(arguments[2])
        if count == number and arguments[2]:
            count += 1
            os.kill(os.getpid(), signal.SIGSTOP)
        write(*arguments)

    _replace(work, "write_verdicts", stopping)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _no_fence(put: Put) -> None:
    """Let the holder of an outdated token write: check neither the token nor the item's holder."""
    put(work, "fence", lambda *_: None)
    _no_guards(put)


def _no_guards(put: Put) -> None:
    """Write whatever the state of the items, and over attempts recorded by others."""
    for module, holder in ((queries, "?1"), (server_queries, ":1")):
        finish = module.query("finish_items").rstrip() + "\n"
        guards = (
            "   AND items.attempt = ended.attempt\n",
            f"   AND items.worker = {holder}\n",
            "   AND items.state = 'running'\n",
        )
        for guard in guards:
            assert guard in finish, guard
            finish = finish.replace(guard, "")
        _replace_query(put, module, "finish_items", finish)
    attempts = queries.query("insert_attempts")
    assert "INSERT INTO" in attempts
    _replace_query(put, queries, "insert_attempts", attempts.replace("INSERT INTO", "INSERT OR REPLACE INTO"))
    _replace_query(put, server_queries, "insert_attempts", _REPLACE_ATTEMPTS)
    progress = work.job_progress
    put(work, "job_progress", lambda session, lease: _progress_without_row(progress, session, lease))


def _progress_without_row(progress: Callable[[Session, Lease], object], session: Session, lease: Lease) -> object:
    try:
        return progress(session, lease)
    except TypeError:
        job = jobs.find_job(session, lease.owner, lease.job_id)
        return job.state, job.counts, job.tokens


def _no_shared_transaction(put: Put) -> None:
    """Commit the conversations alone, and the items' states in a later transaction."""
    insert = verdicts._insert_conversations

    def alone(session: Any, *rest: Any) -> object:
        ids = insert(session, *rest)
        session.connection.execute("COMMIT")
        session.connection.execute("BEGIN IMMEDIATE" if session.kind == "sqlite" else "BEGIN")
        return ids

    put(verdicts, "_insert_conversations", alone)


def _no_replay(put: Put) -> None:
    """Let one rejected outcome fail its whole group."""

    async def all_or_nothing(self: committer.Committer, claim: Claim) -> CommitReport:
        group, self._waiting = self._waiting, []
        report = await self._store.commit(self._lease, group, claim)
        self._on_committed(group)
        return report

    put(committer.Committer, "commit", all_or_nothing)


def _no_identity(put: Put) -> None:
    """Continue whatever happens to the files, and whoever has migrated them."""
    put(file_identity.FileIdentity, "check_files", lambda _: None)
    put(file_identity.FileIdentity, "check_schema", lambda *_: None)


def _no_row_lock(put: Put) -> None:
    """On a server: check the token without locking the worker's row."""
    fence = server_queries.query("fence")
    assert "FOR UPDATE" in fence
    _replace_query(put, server_queries, "fence", fence.replace("FOR UPDATE", ""))


def _no_idle_limit(put: Put) -> None:
    """On a server: let a session hold its transaction for as long as its client is silent."""
    put(write_connection, "_IDLE_TIMEOUT", "1h")
    _replace_query(put, server_queries, "end_session_of_worker", "SELECT 1")


def _one_machine(put: Put) -> None:
    """Treat all machines of one name as the same."""
    put(liveness, "machine_id", lambda: "the only one")


def _any_schema(put: Put) -> None:
    """On a server: write whatever the number of the schema."""
    begin = write_connection.WriteConnection.begin

    def asking_for_what_is_there(self: write_connection.WriteConnection) -> float:
        _replace(self, "_schema_version", f"(SELECT max(number) FROM {self._schema}.migrations)")
        return begin(self)

    put(write_connection.WriteConnection, "begin", asking_for_what_is_there)


def _no_outcomes(put: Put) -> None:
    """Treat an item as done without recording its outcome."""
    put(work, "write_verdicts", lambda *_: None)


def _no_memory(put: Put) -> None:
    """Claim completed items again."""
    claim = queries.query("claim_items")
    assert "state = 'pending'" in claim
    _replace_query(put, queries, "claim_items", claim.replace("state = 'pending'", "state IN ('pending', 'completed')"))


def _no_cleaning(put: Put) -> None:
    """Keep the checkpoint of a completed job."""

    async def nothing(_: JobRunner, __: str) -> None:
        pass

    put(JobRunner, "_clean", nothing)


def _no_verification(put: Put) -> None:
    """Accept whatever was written as the backup."""

    async def nothing(*_: object) -> None:
        pass

    put(BackupWriter, "_verify", nothing)


def _no_stop_at_failures(put: Put) -> None:
    """Delete although the backup has failed."""
    delete = DeleteService.delete

    async def whatever_becomes_of_it(self: DeleteService, plan: DeletePlan, **options: Any) -> DeleteResult:
        try:
            return await delete(self, plan, **options)
        except BackupError:
            return await self._delete_without_backup(plan, None)

    put(DeleteService, "delete", whatever_becomes_of_it)


def _no_removal(put: Put) -> None:
    """Report the file of a backup as removed, and keep it."""
    put(BackupDirectory, "remove", lambda *_: True)


def _no_bound_of_heads(put: Put) -> None:
    """Let any number of connections wait for the head of a request for ever."""
    from backstay.server.request_head_limits import (
        WaitingConnections,
    )  # not every process that is sabotaged is a server

    put(WaitingConnections, "begin", lambda *_: None)


def _guess(made: bool) -> Callable[[Put], None]:
    """On a server: treat a lost reply to a COMMIT as this outcome."""

    def guess(put: Put) -> None:
        put(write_connection.WriteConnection, "_is_committed", lambda *_: made)

    return guess


def _replace_query(put: Put, queries_of: ModuleType, name: str, text: str) -> None:
    original = queries_of.query

    def replaced(asked: str) -> str:
        return text if asked == name else original(asked)

    for module in (queries, session) if queries_of is queries else (server_queries,):
        put(module, "query", replaced)
    queries._expand_rows.cache_clear()


def _dies_before_answering(put: Put) -> None:
    """Die after the work of a request with a key, before its reply is stored."""
    put(expiring_values.SqlExpiringValues, "put", lambda *_, **__: _die())


def _no_receipts(put: Put) -> None:
    """Omit the receipt from the transaction of the work."""
    import_conversations = conversations.SqlConversations.import_conversations

    async def without(self: conversations.SqlConversations, *arguments: Any, **options: Any) -> object:
        return await import_conversations(self, *arguments[:4], **options)

    put(conversations.SqlConversations, "import_conversations", without)


_PROTECTIONS: dict[str, Callable[[Put], None]] = {
    "answering": _dies_before_answering,
    "receipts": _no_receipts,
    "fence": _no_fence,
    "shared-transaction": _no_shared_transaction,
    "replay": _no_replay,
    "identity": _no_identity,
    "machine": _one_machine,
    "row-lock": _no_row_lock,
    "schema": _any_schema,
    "idle-limit": _no_idle_limit,
    "guards": _no_guards,
    "answers-guessed-made": _guess(True),
    "answers-guessed-lost": _guess(False),
    "outcomes": _no_outcomes,
    "memory": _no_memory,
    "cleaning": _no_cleaning,
    "verification": _no_verification,
    "stop-at-failures": _no_stop_at_failures,
    "removal": _no_removal,
    "heads": _no_bound_of_heads,
}
