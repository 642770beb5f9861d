"""Links restored conversations to the items that made them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from backstay.batch.item import ItemState
from backstay.clock import to_text
from backstay.storage.sql.session import Row, Session
from backstay.storage.sql.times import from_micros
from backstay.storage.sql.verified_entries import VerifiedEntry

ItemKey = tuple[int, int]
"""The key of the item's job, and the item's position in that job."""


class KeySet:
    """A set of item keys that takes one bit per item: there may be millions."""

    def __init__(self) -> None:
        self._bits: dict[int, bytearray] = defaultdict(bytearray)

    def add(self, item: ItemKey) -> None:
        job_key, position = item
        bits, (index, bit) = self._bits[job_key], divmod(position, 8)
        bits.extend(bytes(max(0, index + 1 - len(bits))))
        bits[index] |= 1 << bit

    def __contains__(self, item: ItemKey) -> bool:
        job_key, position = item
        bits, (index, bit) = self._bits.get(job_key, b""), divmod(position, 8)
        return index < len(bits) and bool(bits[index] >> bit & 1)


@dataclass(frozen=True, slots=True)
class SourceItem:
    """The item that has the job id and item id that a conversation names.

    It need not be the one that made the conversation: after a discard, a new job may have the same id.
    """

    job_id: str
    job_key: int
    position: int
    state: ItemState
    conversation_id: str | None
    is_deleted: bool
    """Whether the conversation `conversation_id` was deleted."""
    job_created_at: str

    @property
    def key(self) -> ItemKey:
        return self.job_key, self.position


class ItemLinks:
    """Decides which conversations become results of the items that they name, over all chunks of a backup."""

    def __init__(self) -> None:
        self._newly_completed = KeySet()
        self.items = KeySet()
        """The items that have been given a result so far."""
        self.linked = 0
        self.unlinked = 0
        """Conversations that name an item and do not become its result."""

    def link(
        self, entries: Iterable[VerifiedEntry], items: Mapping[Row, SourceItem], *, replacing: Collection[str] = ()
    ) -> dict[ItemKey, tuple[VerifiedEntry, SourceItem]]:
        """Return the results of items among the conversations of a chunk, and count them and the others.

        A completed item is linked to the conversation that it records as its result, or to one that replaces it
        (`replacing` are the ids of these). An item that is not completed is linked to the last that names it.
        """
        results: dict[ItemKey, tuple[VerifiedEntry, SourceItem]] = {}
        for entry in entries:
            item = items.get(item_name(entry))
            if item is None:
                continue
            is_first = item.state is not ItemState.COMPLETED and item.key not in self._newly_completed
            is_its_result = item.conversation_id == entry.id or entry.id in replacing
            self.linked += is_first or is_its_result
            self.unlinked += not (is_first or is_its_result)
            if is_first:
                self._newly_completed.add(item.key)
            if is_its_result or item.key in self._newly_completed:
                results[item.key] = (entry, item)
        for key in results:
            self.items.add(key)
        return results


def source_items(
    session: Session, owner: str, entries: Sequence[VerifiedEntry], *, locked: bool
) -> dict[Row, SourceItem]:
    """Return the items that these conversations name, by name. With `locked`, lock them until the transaction ends."""
    names = [name for name in dict.fromkeys(map(item_name, entries)) if None not in name]
    if locked:
        session.lock_rows("lock_items_of_conversations", names, owner)
    rows = session.select_rows("items_of_conversations", names, owner)
    return {
        (job_id, item_id): SourceItem(
            job_id,
            job_key,
            position,
            ItemState(state),
            result,
            deleted_at is not None,
            to_text(from_micros(created_at)),
        )
        for job_id, item_id, job_key, position, state, result, deleted_at, created_at in rows
    }


def item_name(entry: VerifiedEntry) -> Row:
    """Return the job id and the item id that a conversation names; each may be None."""
    return entry.archived.job_id, entry.archived.item_id
