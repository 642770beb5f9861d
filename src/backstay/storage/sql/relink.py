"""Which of the conversations that come back are results of items, and of which."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from backstay.batch.item import ItemState
from backstay.clock import to_text
from backstay.storage.sql.session import Row, Session
from backstay.storage.sql.times import from_micros
from backstay.storage.sql.verified_entries import VerifiedEntry

Place = tuple[int, int]
"""Of an item: the key of its job, and its position in that."""


class KeySet:
    """A set of items' places in a job, one bit each: there may be millions."""

    def __init__(self) -> None:
        self._of_jobs: dict[int, bytearray] = defaultdict(bytearray)

    def add(self, place: Place) -> None:
        job_key, position = place
        bits, (at, bit) = self._of_jobs[job_key], divmod(position, 8)
        bits.extend(bytes(max(0, at + 1 - len(bits))))
        bits[at] |= 1 << bit

    def __contains__(self, place: Place) -> bool:
        job_key, position = place
        bits, (at, bit) = self._of_jobs.get(job_key, b""), divmod(position, 8)
        return at < len(bits) and bool(bits[at] >> bit & 1)


@dataclass(frozen=True, slots=True)
class SourceItem:
    """The item that has the name of what a conversation was the result of.

    It may be another's: a job that is discarded frees its name, and a job run under it later has items of its own.
    """

    job_id: str
    job_key: int
    position: int
    state: ItemState
    conversation_id: str | None
    is_deleted: bool
    """That conversation was deleted."""
    since: str
    """When its job was created."""

    @property
    def place(self) -> Place:
        return self.job_key, self.position


class ItemLinks:
    """Says which conversations are results of the items they name, over all chunks of a backup."""

    def __init__(self) -> None:
        self._heirs = KeySet()
        self.places = KeySet()
        """Of the items that have a result among those seen so far."""
        self.linked = 0
        self.unlinked = 0

    def from_entries(
        self, entries: Iterable[VerifiedEntry], items: Mapping[Row, SourceItem], *, heirs: Collection[str] = ()
    ) -> dict[Place, tuple[VerifiedEntry, SourceItem]]:
        """Return, by the place of the item, those of a chunk that are; the others are counted.

        An item that is completed says itself what its result is, but for those conversations that are to replace it
        (`heirs`, by their ids). One that is not takes the latest that names it.
        """
        found: dict[Place, tuple[VerifiedEntry, SourceItem]] = {}
        for entry in entries:
            item = items.get(result_of(entry))
            if item is None:
                continue
            is_first = item.state is not ItemState.COMPLETED and item.place not in self._heirs
            is_its_result = item.conversation_id == entry.id or entry.id in heirs
            self.linked += is_first or is_its_result
            self.unlinked += not (is_first or is_its_result)
            if is_first:
                self._heirs.add(item.place)
            if is_its_result or item.place in self._heirs:
                found[item.place] = (entry, item)
        for place in found:
            self.places.add(place)
        return found


def items_named(session: Session, owner: str, entries: Sequence[VerifiedEntry], *, held: bool) -> dict[Row, SourceItem]:
    """Return the items that these conversations name, by those names. With `held` nobody else moves them."""
    rows = [named for named in dict.fromkeys(map(result_of, entries)) if None not in named]
    if held:
        session.lock_rows("hold_items_of_conversations", rows, owner)
    found = session.select_rows("items_of_conversations", rows, owner)
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
        for job_id, item_id, job_key, position, state, result, deleted_at, created_at in found
    }


def result_of(entry: VerifiedEntry) -> Row:
    """Return the names of the job and the item that a conversation says it is the result of."""
    return entry.coming.job_id, entry.coming.item_id
