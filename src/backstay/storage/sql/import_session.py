"""Conversations come in from a file, in one transaction of the caller's."""

from collections import ChainMap, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from backstay.clock import to_text
from backstay.errors import ConversationExists, InvalidRow, OutcomeRefused
from backstay.library.id_text import quoted_id
from backstay.library.ids import new_id
from backstay.library.imports.incoming import (
    KEYS,
    TURN_KEYS,
    ImportedConversation,
    ImportResult,
    OnImportConflict,
    is_same,
    to_document,
)
from backstay.library.imports.source import ImportSource
from backstay.library.record import TURNS, Document
from backstay.storage.sql.adoption_guard import refuse_unwritable
from backstay.storage.sql.cascade.tables import OURS
from backstay.storage.sql.records import StoredColumns, by_ids, put, rows_of
from backstay.storage.sql.session import Row, Session
from backstay.storage.sql.times import from_micros

_DRAWN = 100  # ids that are asked for together


class ImportSession:
    """One import."""

    def __init__(
        self, session: Session, owner: str, source: ImportSource, on_clash: OnImportConflict, now: int
    ) -> None:
        self._session = session
        self._owner = owner
        self._source = source
        self._on_clash = on_clash
        self._line = 0
        self._stored_at = to_text(from_micros(now))
        self._columns = StoredColumns.from_session(session, related=False)
        self._count = ImportResult(0, 0, 0, 0, 0)
        self._ids: Iterator[str | None] = iter(())

    def run(self, on_progress: Callable[[int], None], *, one_by_one: bool = False) -> ImportResult:
        """Bring everything in; raises as `ConversationStore.bring_in`."""
        done = 0
        refuse_unwritable(self._session, self._owner)
        self._session.lock("hold_library", {"owner": self._owner})
        for chunk in self._source.chunks():
            for some in ([one] for one in chunk) if one_by_one else (chunk,):
                self._line = some[0].line
                self._import_chunk(some)
            done += len(chunk)
            on_progress(done)
        return self._count

    def refused(self, error: OutcomeRefused) -> InvalidRow:
        """Return the error for a row that the database refuses; it names the row only if rows are stored one by one."""
        return self._source.origin.invalid_row(self._line, f"{error.message[:1].lower()}{error.message[1:]}")

    def _import_chunk(self, chunk: Sequence[ImportedConversation]) -> None:
        columns, origin = self._columns, self._source.origin
        documents = [to_document(incoming, columns.conversations, columns.turns, origin) for incoming in chunk]
        named = [document["id"] for document in documents if document["id"] is not None]
        stored: dict[str, Mapping[str, Any]] = {
            name: orjson.loads(record.line)
            for name, record in by_ids(self._session, self._owner, named, self._columns).items()
        }
        coming: dict[str, Mapping[str, Any]] = {}
        for incoming, document in zip(chunk, documents, strict=True):
            conversation_id = self._id(incoming, document, ChainMap(coming, stored))
            if conversation_id is not None:
                coming[conversation_id] = self._completed(document, conversation_id)
        self._put([dict(document) for document in coming.values()])

    def _id(
        self, incoming: ImportedConversation, document: Document, there: Mapping[str, Mapping[str, Any]]
    ) -> str | None:
        """Return the id under which to store it; None when it is not to be stored."""
        wanted = document["id"]
        if wanted is None:
            return self._new_id()
        if wanted not in there:
            return str(wanted)
        if is_same(document, there[wanted], exactly=incoming.is_exact):
            self._add(identical=1)
            return None
        match self._on_clash:
            case OnImportConflict.SKIP:
                self._add(skipped=1)
                return None
            case OnImportConflict.NEW:
                self._add(renamed=1)
                return self._new_id()
        origin = self._source.origin
        raise ConversationExists(
            f"{origin.path} line {incoming.line}: another conversation has the id {quoted_id(wanted)}; nothing was "
            "imported. --on-conflict skip leaves it out, new gives it another id",
            path=origin.path,
            line=incoming.line,
            conversation_id=wanted,
        )

    def _new_id(self) -> str:
        try:
            made = next(self._ids)
        except StopIteration:
            self._ids = iter([name for (name,) in self._session.rows("new_conversation_ids", {"count": _DRAWN})])
            made = next(self._ids)
        return made or new_id()

    def _completed(self, document: Document, conversation_id: str) -> Document:
        created_at = document["created_at"] or self._stored_at
        times = {"created_at": created_at, "updated_at": document["updated_at"] or created_at}
        return {**document, **times, "id": conversation_id}

    def _put(self, documents: list[Document]) -> None:
        if not documents:
            return
        relinked = self._link(documents)
        # A column that a file does not speak of gets its default, so rows go together that speak of the same ones.
        alike: dict[tuple[frozenset[str], frozenset[str]], list[tuple[int, Document]]] = defaultdict(list)
        keys = self._session.rows("new_conversation_keys", {"count": len(documents)})
        for (key, _), document in zip(keys, documents, strict=True):
            turn_names = frozenset(name for turn in document[TURNS] for name in turn) - TURN_KEYS
            alike[frozenset(document) - KEYS, turn_names].append((key, document))
        for (names, turn_names), keyed in alike.items():
            columns = StoredColumns(dict.fromkeys(sorted(names), ""), dict.fromkeys(sorted(turn_names), ""))
            rows = [(key, rows_of(document, self._owner, columns)) for key, document in keyed]
            put(self._session, rows, columns)
        self._session.execute_rows("relink_items", relinked)
        for table in OURS:
            self._session.tables.advance(table)
        self._add(imported=len(documents), relinked=len(relinked))

    def _link(self, documents: list[Document]) -> list[Row]:
        """Return the items that get their results back.

        Where an item here has another result, or none, the conversation's job and item become metadata.
        """
        asked: dict[Row, list[int]] = defaultdict(list)
        for number, document in enumerate(documents):
            if document["job_id"] and document["item_id"]:
                asked[document["job_id"], document["item_id"]].append(number)
        relinked: list[Row] = []
        self._session.lock_rows("hold_items_of_conversations", list(asked), self._owner)
        for job_id, item_id, key, position, state, result, deleted_at, _ in self._session.select_rows(
            "items_of_conversations", list(asked), self._owner
        ):
            for number in asked[job_id, item_id]:
                document = documents[number]
                if state == "completed" and result == document["id"] and deleted_at is not None:
                    relinked.append((key, position, result))
                else:
                    metadata = document["metadata"]
                    if isinstance(metadata, dict):
                        metadata = {"job_id": job_id, "item_id": item_id, **metadata}
                    documents[number] = {**document, "job_id": None, "item_id": None, "metadata": metadata}
        return relinked

    def _add(self, **more: int) -> None:
        self._count = replace(
            self._count, **{name: getattr(self._count, name) + number for name, number in more.items()}
        )
