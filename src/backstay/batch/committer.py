"""Group commit: many outcomes in one transaction, each acknowledged after it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from backstay.batch.outcome import Verdict
from backstay.batch.store import Claim, CommitReport, Lease, WorkStore
from backstay.errors import BackupUnusable, OutcomeRefused, ReplacementRefused

MAX_GROUP_VERDICTS = 512  # in one transaction, to limit how long it holds the write lock


class Committer:
    """A buffer of verdicts. Each commit writes all that are waiting, and never waits for more.

    While one group is written, the next one fills, so a busier job shares each commit among more items. If the
    database refuses a group, its verdicts are written one by one: a refused outcome fails only its own item.
    """

    def __init__(self, *, store: WorkStore, lease: Lease, on_committed: Callable[[Sequence[Verdict]], None]) -> None:
        self._store = store
        self._lease = lease
        self._on_committed = on_committed
        self._waiting: list[Verdict] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, verdict: Verdict) -> None:
        """Add a verdict to those that wait for the next commit."""
        self._waiting.append(verdict)

    async def commit(self, claim: Claim) -> CommitReport:
        """Write the waiting verdicts and claim new items in the same transaction.

        `on_committed` is called with verdicts only when they are on disk. Raises LeaseLost and StorageError; verdicts
        that were not written then wait for the next commit.
        """
        group, self._waiting = self._waiting[:MAX_GROUP_VERDICTS], self._waiting[MAX_GROUP_VERDICTS:]
        written = 0
        try:
            try:
                report = await self._commit(group, claim)
                written = len(group)
                self._on_committed(group)
                return report
            except (OutcomeRefused, ReplacementRefused):
                for verdict in group:
                    await self._commit_alone(verdict)
                    written += 1
                return await self._commit([], claim)
        finally:
            self._waiting[:0] = group[written:]

    async def _commit(self, verdicts: Sequence[Verdict], claim: Claim) -> CommitReport:
        """Commit, if need be with another backup of the conversations that the job replaces."""
        try:
            return await self._store.commit(self._lease, verdicts, claim)
        except BackupUnusable:
            if self._lease.backup is None:
                raise
            self._lease = replace(self._lease, backup=await self._lease.backup.renew())
            return await self._store.commit(self._lease, verdicts, claim)

    async def _commit_alone(self, verdict: Verdict) -> None:
        try:
            await self._commit([verdict], Claim())
        except ReplacementRefused as error:
            await self._commit_alone(Verdict.from_refused(verdict, error))
            return
        except OutcomeRefused as error:
            verdict = Verdict.from_refused(verdict, error)
            await self._commit([verdict], Claim())
        self._on_committed([verdict])
