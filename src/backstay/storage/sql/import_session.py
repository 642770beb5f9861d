"""Imports conversations from a file, in one transaction of the caller."""

from collections import ChainMap, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from backstay.clock import to_text
from backstay.errors import ConversationExists, InvalidRow, OutcomeRefused
from backstay.library.choices import ImportConflictPolicy
from backstay.library.id_text import quoted_id
from backstay.library.ids import new_id
from backstay.library.imports.imported_conversation import (
    KEYS,
    TURN_KEYS,
    ImportedConversation,
    ImportResult,
    is_same,
    to_document,
)
from backstay.library.imports.source import ImportSource
from backstay.library.record import TURNS, Document
from backstay.library.trainer_checks import TrainerReport
from backstay.storage.sql.adoption_guard import refuse_unwritable
from backstay.storage.sql.cascade.tables import BUILT_IN_TABLES
from backstay.storage.sql.conversation_records import StoredColumns, find_by_ids, put, rows_maker
from backstay.storage.sql.curation import Curations
from backstay.storage.sql.database import Row, Session
from backstay.storage.sql.kept_recipes import keep_recipes
from backstay.storage.sql.times import from_micros

_ID_BATCH = 100  # ids that are requested together
_NO_KEYS = (1, 0)


class KeyRanges:
    """Growing keys as ranges without gaps, of which there are few unless others store at the same time."""

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int]] = []

    def add(self, key: int) -> None:
        """Add a key, which is larger than the ones before."""
        if self.ranges and self.ranges[-1][1] == key - 1:
            self.ranges[-1] = (self.ranges[-1][0], key)
        else:
            self.ranges.append((key, key))


class ImportSession:
    """One import, in one transaction."""

    def __init__(
        self,
        session: Session,
        owner: str,
        source: ImportSource,
        on_conflict: ImportConflictPolicy,
        now: int,
        *,
        strict: bool,
    ) -> None:
        self._session = session
        self._owner = owner
        self._source = source
        self._on_conflict = on_conflict
        self._strict = strict
        self._report = TrainerReport()
        self._line = 0
        self._stored_at = to_text(from_micros(now))
        self._columns = StoredColumns.from_session(session, related=False)
        self._curations = Curations(session, owner)
        self._count = ImportResult(0, 0, 0, 0, 0)
        self._ids: Iterator[str | None] = iter(())
        self._import_id = f"import-{new_id()}"
        self._stored = KeyRanges()

    def run(self, on_progress: Callable[[int], None], *, one_by_one: bool = False) -> ImportResult:
        """Import all conversations. Raises like `ConversationStore.import_conversations`."""
        count = 0
        refuse_unwritable(self._session, self._owner)
        self._session.lock("lock_library", {"owner": self._owner})
        for chunk in self._source.chunks(self._prepare):
            for batch in ([incoming] for incoming in chunk) if one_by_one else (chunk,):
                self._line = batch[0].line
                self._import_batch(batch)
            count += len(chunk)
            on_progress(count)
        if self._strict and self._report.refused:
            raise self._report.refusal("nothing was imported", path=self._source.name)
        self._record()
        keep_recipes(self._session, self._owner, self._source.recipes)
        return replace(
            self._count,
            import_id=self._import_id,
            bad_rows=self._source.finish(used=count),
            warned=self._report.refused,
            warnings=self._report.counts,
        )

    def _record(self) -> None:
        """Record what the import has stored, even if that is nothing: it is the last import then, too."""
        ranges = self._stored.ranges or [_NO_KEYS]
        self._session.execute_many("insert_imports", [(self._owner, self._import_id, *pair) for pair in ranges])

    def refused_error(self, error: OutcomeRefused) -> InvalidRow:
        """Return the error for a row that the database refuses; its line is right only after a run `one_by_one`."""
        return self._source.origin.invalid_row(self._line, f"{error.message[:1].lower()}{error.message[1:]}")

    def _prepare(self, incoming: ImportedConversation) -> ImportedConversation:
        columns, source = self._columns, self._source
        document = to_document(incoming, columns.conversations, columns.turns, source.origin, self._report, source.file)
        return replace(incoming, document=document)

    def _import_batch(self, batch: Sequence[ImportedConversation]) -> None:
        ids = [incoming.document["id"] for incoming in batch if incoming.document["id"] is not None]
        stored: dict[str, Mapping[str, Any]] = {
            name: orjson.loads(record.line)
            for name, record in find_by_ids(self._session, self._owner, ids, self._columns).items()
        }
        new: dict[str, Mapping[str, Any]] = {}
        curations: dict[str, bytes] = {}
        for incoming in batch:
            conversation_id = self._choose_id(incoming, ChainMap(new, stored))
            if conversation_id is not None:
                new[conversation_id] = self._with_times(incoming.document, conversation_id)
                if incoming.curation is not None:
                    curations[conversation_id] = incoming.curation
        keys = self._put([dict(document) for document in new.values()])
        self._curations.insert({keys[name]: curation for name, curation in curations.items()})

    def _choose_id(self, incoming: ImportedConversation, existing: Mapping[str, Mapping[str, Any]]) -> str | None:
        """Return the id under which to store a conversation; None if it is not stored. Raises ConversationExists."""
        own_id = incoming.document["id"]
        if own_id is None:
            return self._new_id()
        if own_id not in existing:
            return str(own_id)
        if is_same(incoming.document, existing[own_id], exactly=incoming.is_exact):
            self._add(identical=1)
            return None
        match self._on_conflict:
            case ImportConflictPolicy.SKIP:
                self._add(skipped=1)
                return None
            case ImportConflictPolicy.NEW:
                self._add(renamed=1)
                return self._new_id()
        origin = self._source.origin
        where = origin.location(incoming.line)
        raise ConversationExists(
            f"{where}: another conversation has the id {quoted_id(own_id)}; nothing was imported",
            path=origin.path,
            line=incoming.line,
            conversation_id=own_id,
        )

    def _new_id(self) -> str:
        try:
            assigned = next(self._ids)
        except StopIteration:
            self._ids = iter([name for (name,) in self._session.rows("new_conversation_ids", {"count": _ID_BATCH})])
            assigned = next(self._ids)
        return assigned or new_id()

    def _with_times(self, document: Document, conversation_id: str) -> Document:
        created_at = document["created_at"] or self._stored_at
        times = {"created_at": created_at, "updated_at": document["updated_at"] or created_at}
        return {**document, **times, "id": conversation_id}

    def _put(self, documents: list[Document]) -> dict[str, int]:
        """Insert conversations, and return their keys by id."""
        if not documents:
            return {}
        relinked = self._link(documents)
        # A column that a document lacks gets its default: insert together the documents that have the same columns.
        by_columns: dict[tuple[frozenset[str], frozenset[str]], list[tuple[int, Document]]] = defaultdict(list)
        keys = self._session.rows("allocate_conversation_keys", {"count": len(documents)})
        for key, _ in keys:
            self._stored.add(key)
        for (key, _), document in zip(keys, documents, strict=True):
            turn_names = frozenset(name for turn in document[TURNS] for name in turn) - TURN_KEYS
            by_columns[frozenset(document) - KEYS, turn_names].append((key, document))
        for (names, turn_names), keyed in by_columns.items():
            columns = StoredColumns(dict.fromkeys(sorted(names), ""), dict.fromkeys(sorted(turn_names), ""))
            to_rows = rows_maker(self._owner, columns)
            put(self._session, [(key, to_rows(document)) for key, document in keyed], columns)
        self._session.execute_many("relink_items", relinked)
        for table in BUILT_IN_TABLES:
            self._session.tables.advance(table)
        self._add(imported=len(documents), relinked=len(relinked))
        return {document["id"]: key for (key, _), document in zip(keys, documents, strict=True)}

    def _link(self, documents: list[Document]) -> list[Row]:
        """Return the items whose deleted results are imported.

        A conversation whose item has another result, or none, gets its job and item as metadata instead.
        """
        numbers_by_item: dict[Row, list[int]] = defaultdict(list)
        for number, document in enumerate(documents):
            if document["job_id"] and document["item_id"]:
                numbers_by_item[document["job_id"], document["item_id"]].append(number)
        relinked: list[Row] = []
        self._session.lock_many("lock_items_of_conversations", list(numbers_by_item), self._owner)
        for job_id, item_id, key, position, state, result, deleted_at, _ in self._session.select_many(
            "items_of_conversations", list(numbers_by_item), self._owner
        ):
            for number in numbers_by_item[job_id, item_id]:
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
