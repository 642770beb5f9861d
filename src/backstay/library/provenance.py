"""What the metadata of a generated conversation says of its origin, and the names under which exports add it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backstay.library.conversation import Conversation

PARAMETERS = "parameters"
"""The key of the item's other input columns."""
GENERATION = "generation"
"""The key of how the conversation was made: by which model or processor, with which settings, in which attempt."""
_KEYS = frozenset((PARAMETERS, GENERATION))
MAX_REVISION = 2**63 - 1
"""The largest integer of a database, while metadata and files may hold anything."""
_USAGE = ("tokens_in", "tokens_out")


def describes_origin_only(metadata: Mapping[str, Any]) -> bool:
    """Return whether metadata has nothing but the origin of the conversation."""
    return metadata.keys() <= _KEYS


def named_revision(job_id: str | None, metadata: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return the job and the number of the revision of its recipe that made a conversation; None if it names none.

    The job that made it again is in its metadata, and so is one whose item has another result.
    """
    generation = metadata.get(GENERATION)
    if not isinstance(generation, dict):
        return None
    maker = generation.get("job_id") or job_id or metadata.get("job_id")
    number = generation.get("recipe_revision")
    if not isinstance(maker, str) or "\x00" in maker or type(number) is not int or not 0 < number <= MAX_REVISION:
        return None
    return maker, number


def _usage(conversation: "Conversation") -> Mapping[str, int] | None:
    generation = conversation.metadata.get(GENERATION)
    if not isinstance(generation, dict):
        return None
    return {name: generation[name] for name in _USAGE if name in generation} or None


ADDABLE_FIELDS: Mapping[str, "Callable[[Conversation], Any]"] = {
    "id": lambda conversation: conversation.id,
    "topic": lambda conversation: conversation.topic,
    "persona": lambda conversation: conversation.persona,
    "job_id": lambda conversation: conversation.job_id,
    "item_id": lambda conversation: conversation.item_id,
    PARAMETERS: lambda conversation: conversation.metadata.get(PARAMETERS),
    GENERATION: lambda conversation: conversation.metadata.get(GENERATION),
    "usage": _usage,
}
"""The fields that an export can add to each row, by name, with their values; None if a conversation lacks it."""
