"""Reads and writes reviews and earlier versions as backups hold them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from backstay.backup.backup import Backup, BackupItem
from backstay.library.curation import curation_digest, curation_to_json
from backstay.library.record import Record
from backstay.library.review import Review
from backstay.storage.sql.database import Row, Session
from backstay.storage.sql.reviews import find_reviews, put_reviews

NO_CURATION = b"{}"
"""What is recorded as late if a conversation had a review or versions at its backup, and none when it was deleted."""


class Curations:
    """The reviews and earlier versions in a database, as one transaction sees them."""

    def __init__(self, session: Session, owner: str) -> None:
        self._session = session
        self._owner = owner
        self.exist = bool(session.value("has_curation"))
        """Whether any conversation, of any owner, has one."""

    def add_to(self, batches: Iterable[list[Record]]) -> Iterator[list[Record]]:
        """Yield batches of records with their curation."""
        for records in batches:
            found = self.find([record.key for record in records])
            yield [record._replace(curation=found.get(record.key)) for record in records] if found else records

    def find(self, keys: Sequence[int]) -> Mapping[int, bytes]:
        """Return the curation of those conversations that have one, by key."""
        if not self.exist:
            return {}
        found = find_reviews(self._session, self._owner, keys)
        reviews = {key: review for key, review in found.items() if not review.is_empty}
        versions: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for key, number, line, editor, replaced_at in self._session.select_many(
            "versions_of_conversations", [(key,) for key in keys]
        ):
            versions[key].append({"editor": editor, "line": line, "number": number, "replaced_at": replaced_at})
        return {
            key: curation_to_json(reviews[key].to_dict() if key in reviews else None, versions.get(key, ()))
            for key in dict.fromkeys((*reviews, *versions))
        }

    def insert(self, curations: Mapping[int, bytes]) -> None:
        """Insert the curation of conversations, by key, that have none."""
        documents = {key: orjson.loads(text) for key, text in curations.items()}
        reviews = {
            key: Review.from_dict(document["review"]) for key, document in documents.items() if "review" in document
        }
        versions: list[Row] = [
            (key, each["number"], self._owner, each["line"], each["editor"], each["replaced_at"])
            for key, document in documents.items()
            for each in document.get("versions", ())
        ]
        put_reviews(self._session, self._owner, reviews)
        self._session.execute_many("insert_versions", versions)
        self.exist = self.exist or bool(curations)

    def record_late(self, backup: Backup, items: Mapping[int, BackupItem]) -> None:
        """Record what was changed since a backup's snapshot, for its items by the keys of their conversations.

        The conversations must be locked, and are deleted in this transaction.
        """
        found = self.find(list(items))
        late: list[Row] = [
            (item.position, found.get(key, NO_CURATION).decode())
            for key, item in items.items()
            if curation_digest(found.get(key)) != item.curation_digest
        ]
        self._session.execute_many("record_late_curation", late, backup.key)
