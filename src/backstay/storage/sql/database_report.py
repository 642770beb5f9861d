"""Reads what is unfinished in a database, for `doctor`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from backstay.backup.storage_identity import StorageIdentity
from backstay.batch.store import WorkerIdentity
from backstay.legacy.imported_jobs import WaitingImport
from backstay.other_owners import OtherOwners, OwnedKind
from backstay.storage.sql.database import Row, Session
from backstay.storage.sql.times import from_micros
from backstay.storage.sql.waiting_imports import waiting_imports

_COUNTED_KINDS = (OwnedKind.JOB, OwnedKind.CONVERSATION, OwnedKind.BACKUP)


@dataclass(frozen=True, slots=True)
class UnfinishedJob:
    """A job with work left, as it is stored."""

    id: str
    state: str
    settled: int
    planned: int
    processor: str


@dataclass(frozen=True, slots=True)
class Leaseholder:
    """A worker that holds a lease, or held one when it died."""

    owner: str
    job_id: str
    identity: WorkerIdentity


@dataclass(frozen=True, slots=True)
class BackupRecord:
    """The stored record of a backup whose file should exist."""

    id: str
    folder: str | None
    host: str | None
    file_bytes: int
    file_sha256: bytes
    damaged_at: datetime | None
    made_at: datetime
    """When the backup was made or last verified, whichever is later."""


@dataclass(frozen=True, slots=True)
class DatabaseReport:
    """The unfinished work of one owner, and all leases."""

    unfinished: Sequence[UnfinishedJob] = ()
    leaseholders: Sequence[Leaseholder] = ()
    unfinished_deletes: Sequence[tuple[str, bool]] = ()
    """Backups whose delete is unfinished, each with whether it is damaged."""
    backups: Sequence[BackupRecord] = ()
    database_id: str = ""
    """The id that names the folder of backups."""
    identity: StorageIdentity | None = None
    others: Sequence[OtherOwners] = ()
    """What other owners have, by kind; kinds of which they have nothing are left out."""
    waiting_imports: Sequence[WaitingImport] = ()


def database_report(session: Session, owner: str) -> DatabaseReport:
    """Return the unfinished jobs and deletes of an owner, and the leases of all owners."""
    return DatabaseReport(
        [UnfinishedJob(*row) for row in session.rows("inspect_unfinished_jobs", {"owner": owner})],
        [
            Leaseholder(name, job_id, WorkerIdentity(*identity))
            for name, job_id, *identity in session.rows("inspect_workers")
        ],
        [(name, bool(is_damaged)) for name, is_damaged in session.rows("inspect_unfinished_deletes", {"owner": owner})],
        [_backup(row) for row in session.rows("inspect_backups", {"owner": owner})],
        str(session.value("database_id")),
        session.database_identity(),
        [others for kind in _COUNTED_KINDS if (others := count_other_owners(session, owner, kind)).count],
        waiting_imports(session, owner),
    )


def count_other_owners(session: Session, owner: str, kind: OwnedKind) -> OtherOwners:
    """Count what owners other than this one have."""
    owners, count = session.row("other_owners", {"owner": owner, "noun": kind.value}) or (0, 0)
    return OtherOwners(kind, owners, count)


def _backup(row: Row) -> BackupRecord:
    name, folder, host, file_bytes, sha256, damaged_at, made_at = row
    damaged = from_micros(damaged_at) if damaged_at is not None else None
    return BackupRecord(name, folder, host, file_bytes, bytes(sha256), damaged, from_micros(made_at))


def miscounted_jobs(session: Session) -> list[str]:
    """Return the jobs whose counters differ from the number of their items; any would be a bug of Backstay."""
    return [f"{owner}/{job_id}" for owner, job_id in session.rows("inspect_miscounted_jobs")]
