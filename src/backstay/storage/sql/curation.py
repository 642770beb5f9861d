"""Reads and writes reviews and kept versions as backups hold them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from backstay.backup.backup import Backup, BackupItem
from backstay.library.curation import curation_digest, curation_to_json
from backstay.library.record import Record
from backstay.library.review import ReviewStatus
from backstay.storage.sql.database import Row, Session

NO_CURATION = b"{}"
"""What is recorded as late if a conversation had a review or versions at its backup, and none when it was deleted."""


class Curations:
    """The reviews and kept versions in a database, as one transaction sees them."""

    def __init__(self, session: Session) -> None:
        self._session = session
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
        rows: list[Row] = [(key,) for key in keys]
        tags: dict[int, list[str]] = defaultdict(list)
        for key, tag in self._session.select_many("tags_of_conversations", rows):
            tags[key].append(tag)
        reviews = {
            row[0]: _review(row, tags[row[0]]) for row in self._session.select_many("reviews_of_conversations", rows)
        }
        versions: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for key, number, line, editor, replaced_at in self._session.select_many("versions_of_conversations", rows):
            versions[key].append({"editor": editor, "line": line, "number": number, "replaced_at": replaced_at})
        curated = dict.fromkeys((*reviews, *versions))
        return {key: curation_to_json(reviews.get(key), versions.get(key, ())) for key in curated}

    def insert(self, owner: str, curations: Mapping[int, bytes]) -> None:
        """Insert the curation of conversations, by key, that have none."""
        reviews: list[Row] = []
        tags: list[Row] = []
        versions: list[Row] = []
        for key, text in curations.items():
            document = orjson.loads(text)
            if review := document.get("review"):
                status = None if review["status"] == ReviewStatus.UNREVIEWED else review["status"]
                values = (review[name] for name in ("rating", "note", "reviewer", "reviewed_at"))
                reviews.append((key, owner, status, *values))
                tags += [(key, tag, owner) for tag in review["tags"]]
            versions += [
                (key, each["number"], owner, each["line"], each["editor"], each["replaced_at"])
                for each in document.get("versions", ())
            ]
        self._session.execute_many("insert_reviews", reviews)
        self._session.execute_many("insert_tags", tags)
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


def _review(row: Row, tags: list[str]) -> dict[str, Any]:
    _, status, rating, note, reviewer, reviewed_at = row
    return {
        "note": note,
        "rating": rating,
        "reviewed_at": reviewed_at,
        "reviewer": reviewer,
        "status": status or ReviewStatus.UNREVIEWED,
        "tags": tags,
    }
