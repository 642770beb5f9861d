"""Reads the conversations of a backup's file, and verifies each against the digest that its snapshot recorded."""

from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import orjson

from backstay.backup.backup import Backup
from backstay.backup.store import BackupEntries
from backstay.errors import BackupDamaged
from backstay.library.prefetch import prefetch
from backstay.library.record import digest_of_document
from backstay.storage.sql.records import ConversationRows, StoredColumns, rows_of
from backstay.storage.sql.session import Session


class ArchivedConversation(NamedTuple):
    """A conversation as the file holds it. A tuple, since there are many: the garbage collector tracks few tuples."""

    position: int
    id: str
    job_id: str | None
    item_id: str | None
    created_at: str
    rows: ConversationRows
    line: bytes
    line_digest: bytes


class VerifiedEntry(NamedTuple):
    """A conversation of the backup's file that matches what the snapshot recorded of it: id, key and digest."""

    id: str
    key: int
    digest: bytes
    archived: ArchivedConversation


def verify_entries(
    session: Session, backup: Backup, documents: BackupEntries, columns: StoredColumns
) -> Iterator[list[VerifiedEntry]]:
    """Yield the conversations of the file in batches, in order.

    Raises:
        BackupDamaged: one cannot be read, or is not what the snapshot recorded.
    """
    with closing(prefetch(_read_entries(backup, documents, columns))) as chunks:
        for chunk in chunks:
            if not chunk:
                continue
            first = chunk[0].position
            values = {"key": backup.key, "owner": backup.owner, "first": first, "limit": chunk[-1].position - first + 1}
            recorded = {row[0]: row[1:4] for row in session.rows("backup_items_after", values)}
            entries = []
            for archived in chunk:
                conversation_id, key, digest = recorded.get(archived.position, (None, 0, b""))
                if conversation_id != archived.id or not _has_digest(archived, digest):
                    raise _damaged(backup, archived.position)
                entries.append(VerifiedEntry(archived.id, key, digest, archived))
            yield entries


def _read_entries(
    backup: Backup, documents: BackupEntries, columns: StoredColumns
) -> Iterator[list[ArchivedConversation]]:
    for chunk in documents():
        conversations = []
        for position, document, line, digest in chunk:
            try:
                rows = rows_of(document, backup.owner, columns)
                names = (document["id"], document["job_id"], document["item_id"], document["created_at"])
                conversations.append(ArchivedConversation(position, *names, rows, line, digest))
            except (KeyError, TypeError, ValueError) as error:
                raise _damaged(backup, position) from error
        yield conversations


def _has_digest(archived: ArchivedConversation, digest: bytes) -> bool:
    # Most lines are canonical as they are.
    if archived.line_digest == digest:
        return True
    try:
        return digest_of_document(orjson.loads(archived.line)) == digest
    except TypeError:
        return False  # nested deeper than any line of a backup


def _damaged(backup: Backup, position: int) -> BackupDamaged:
    return BackupDamaged(
        f"Conversation {position + 1:,} of {backup.id} is not what was backed up; nothing was restored",
        backup_id=backup.id,
    )
