"""Ways to switch off one protection of the engine in this process, and to die at a chosen instant.

A fault test whose checker stays silent with the protection switched off proves nothing; these are the controls.
"""

import os
import signal
from collections.abc import Callable

import apsw

from holdfast.batch import committer
from holdfast.batch.store import Claim, CommitReport
from holdfast.storage.sqlite import database, identity, migrate, queries, results, work


def switch_off(protection: str) -> None:
    """Switch off `fence`, `shared-transaction`, `replay` or `identity`."""
    _PROTECTIONS[protection]()


def die_at_commit(when: str, number: int) -> None:
    """Have this process killed right `before` or `after` its `number`-th write transaction is committed."""
    count = 0
    commit = database.in_transaction

    def counted(connection: apsw.Connection, begin: str, function: Callable, path: object) -> object:
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

    database.in_transaction = counted
    migrate.in_transaction = counted


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _no_fence() -> None:
    """Let whoever holds an outdated token write: neither the token nor the item's holder is asked for."""
    work.fence = lambda *_: None
    finish = queries.query("finish_items")
    guards = (
        "   AND items.attempt = ended.attempt\n",
        "   AND items.worker = lease.token\n",
        "   AND items.state = 'running'\n",
    )
    for guard in guards:
        assert guard in finish, guard
        finish = finish.replace(guard, "")
    _replace_query("finish_items", finish)
    attempts = queries.query("insert_attempts")
    assert "INSERT INTO" in attempts
    _replace_query("insert_attempts", attempts.replace("INSERT INTO", "INSERT OR REPLACE INTO"))
    standing = work.standing

    def standing_without_row(connection: apsw.Connection, lease: object) -> object:
        try:
            return standing(connection, lease)
        except TypeError:
            job = work.find_job(connection, lease.owner, lease.job_id)[1]
            return job.state, job.counts, job.tokens

    work.standing = standing_without_row


def _no_shared_transaction() -> None:
    """Commit the conversations by themselves, and the items' states in a transaction after it."""
    insert = results._insert_conversations

    def alone(connection: apsw.Connection, *rest: object) -> object:
        ids = insert(connection, *rest)
        connection.execute("COMMIT")
        connection.execute("BEGIN IMMEDIATE")
        return ids

    results._insert_conversations = alone


def _no_replay() -> None:
    """Let one refused outcome take its whole group with it."""

    async def all_or_nothing(self: committer.Committer, claim: Claim) -> CommitReport:
        group, self._waiting = self._waiting, []
        report = await self._store.commit(self._lease, group, claim)
        self._on_committed(group)
        return report

    committer.Committer.commit = all_or_nothing


def _no_identity() -> None:
    """Go on whatever becomes of the files, and whoever has migrated them."""
    identity.Identity.check_files = lambda _: None
    identity.Identity.check_schema = lambda *_: None


def _replace_query(name: str, text: str) -> None:
    original = queries.query

    def replaced(asked: str) -> str:
        return text if asked == name else original(asked)

    for module in (queries, work, results):
        module.query = replaced
    queries._expanded.cache_clear()


_PROTECTIONS: dict[str, Callable[[], None]] = {
    "fence": _no_fence,
    "shared-transaction": _no_shared_transaction,
    "replay": _no_replay,
    "identity": _no_identity,
}
