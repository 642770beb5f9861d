"""The links by which restored conversations become the results of their items again. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from backstay.backup.key_set import KeySet
from backstay.backup.store import ArchivedConversation, ItemName

ItemKey = tuple[int, int]
"""The key of the item's job, and the item's position in that job."""


class ItemKeySet:
    """A compact set of item keys."""

    def __init__(self) -> None:
        self._positions: dict[int, KeySet] = defaultdict(KeySet)

    def add(self, item: ItemKey) -> None:
        job_key, position = item
        self._positions[job_key].add(position)

    def __contains__(self, item: ItemKey) -> bool:
        job_key, position = item
        positions = self._positions.get(job_key)
        return positions is not None and position in positions


@dataclass(frozen=True, slots=True)
class SourceItem:
    """The item that has the job id and item id that a conversation names.

    It need not be the one that made the conversation: after a discard, a new job may have the same id.
    """

    job_id: str
    job_key: int
    position: int
    state: str
    conversation_id: str | None
    is_deleted: bool
    """Whether the conversation `conversation_id` was deleted."""
    job_created_at: str

    @property
    def key(self) -> ItemKey:
        return self.job_key, self.position

    @property
    def is_running(self) -> bool:
        return self.state == "running"

    @property
    def is_completed(self) -> bool:
        return self.state == "completed"

    def may_have_made(self, conversation: ArchivedConversation) -> bool:
        """Return whether the conversation is not older than the item's job."""
        return conversation.created_at >= self.job_created_at


SourceItems = Mapping[ItemName, SourceItem]


class ItemLinks:
    """The choice of the conversations that become results of the items that they name, over all chunks of a backup."""

    def __init__(self) -> None:
        self._newly_completed = ItemKeySet()
        self.linked_items = ItemKeySet()
        """The items that have been given a result so far."""
        self.linked = 0
        """Conversations that became the result of their item."""
        self.unlinked = 0
        """Conversations that name an item and do not become its result."""

    def link(
        self, conversations: Iterable[ArchivedConversation], items: SourceItems, *, replacing_ids: Collection[str] = ()
    ) -> dict[ItemKey, tuple[ArchivedConversation, SourceItem]]:
        """Return which conversations of a chunk become results, by item, and count linked and unlinked ones.

        A completed item keeps the result that it records, unless a conversation whose id is in `replacing_ids` names
        it: that one becomes its result. An item that is not completed, or whose result was deleted, is linked to the
        last conversation that names it; its deleted result comes before others.
        """
        results: dict[ItemKey, tuple[ArchivedConversation, SourceItem]] = {}
        for conversation in conversations:
            item = items.get(conversation.item)
            if item is None:
                continue
            is_linked = item.key in self._newly_completed
            is_its_result = item.conversation_id == conversation.id or conversation.id in replacing_ids
            completes_item = not is_linked and not is_its_result and self._lacks_result(item, conversation)
            becomes_result = completes_item or (is_its_result and not is_linked)
            self.linked += becomes_result
            self.unlinked += not becomes_result
            if completes_item:  # a later conversation of this item takes the place of this one, so one link is counted
                self._newly_completed.add(item.key)
            if is_linked or becomes_result:
                results[item.key] = (conversation, item)
                self.linked_items.add(item.key)
        return results

    def _lacks_result(self, item: SourceItem, conversation: ArchivedConversation) -> bool:
        if not item.is_completed:
            return True
        return item.is_deleted and item.key not in self.linked_items and item.may_have_made(conversation)
