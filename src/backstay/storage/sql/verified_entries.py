"""What comes back: the conversations of a backup's file, each proven to be what the snapshot found."""

from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import orjson

from backstay.backup.backup import Backup
from backstay.backup.store import Documents
from backstay.errors import BackupDamaged
from backstay.library.prefetch import prefetch
from backstay.library.record import digest_of_document
from backstay.storage.sql.records import ConversationRows, StoredColumns, rows_of
from backstay.storage.sql.session import Session


class ArchivedConversation(NamedTuple):
    """A conversation as the file has it. In tuples, because there are so many: Python looks after those less."""

    position: int
    id: str
    job_id: str | None
    item_id: str | None
    created_at: str
    rows: ConversationRows
    line: bytes
    line_digest: bytes


class VerifiedEntry(NamedTuple):
    """A conversation of the backup, proven to be what the snapshot found, and what that noted of it."""

    id: str
    key: int
    digest: bytes
    coming: ArchivedConversation


def verify_entries(
    session: Session, backup: Backup, documents: Documents, columns: StoredColumns
) -> Iterator[list[VerifiedEntry]]:
    """Yield what is in the file, each conversation proven to be what the snapshot found."""
    with closing(prefetch(_read_entries(backup, documents, columns))) as chunks:
        for chunk in chunks:
            if not chunk:
                continue
            first = chunk[0].position
            values = {"key": backup.key, "owner": backup.owner, "first": first, "limit": chunk[-1].position - first + 1}
            noted = {row[0]: row[1:4] for row in session.rows("backup_items_after", values)}
            entries = []
            for coming in chunk:
                conversation_id, key, digest = noted.get(coming.position, (None, 0, b""))
                if conversation_id != coming.id or not _has_digest(coming, digest):
                    raise _damaged(backup, coming.position)
                entries.append(VerifiedEntry(coming.id, key, digest, coming))
            yield entries


def _read_entries(backup: Backup, documents: Documents, columns: StoredColumns) -> Iterator[list[ArchivedConversation]]:
    for chunk in documents():
        found = []
        for position, document, line, digest in chunk:
            try:
                rows = rows_of(document, backup.owner, columns)
                names = (document["id"], document["job_id"], document["item_id"], document["created_at"])
                found.append(ArchivedConversation(position, *names, rows, line, digest))
            except (KeyError, TypeError, ValueError) as error:
                raise _damaged(backup, position) from error
        yield found


def _has_digest(coming: ArchivedConversation, digest: bytes) -> bool:
    # Most lines are canonical as they stand.
    if coming.line_digest == digest:
        return True
    try:
        return digest_of_document(orjson.loads(coming.line)) == digest
    except TypeError:
        return False  # nested deeper than any line that we write


def _damaged(backup: Backup, position: int) -> BackupDamaged:
    return BackupDamaged(
        f"Conversation {position + 1:,} of {backup.id} is not what was backed up; nothing was restored",
        backup_id=backup.id,
    )
