"""One request for one item, and what is remembered of the item between its tries."""

import asyncio
from dataclasses import dataclass

from backstay.batch.item import Item
from backstay.batch.processor import Work
from backstay.generate.prompt import Prompt
from backstay.generate.providers.provider import Structure
from backstay.generate.rate import Permit

_TELLING_TROUBLES = 2  # from so many on an item is singled out, even when nobody else is left to ask for
_ALONE_SECONDS = 60.0  # until the next of these counts although no other has passed


@dataclass(slots=True)
class ItemTries:
    """What is remembered of an item between its tries, in this process."""

    rejections: int = 0
    """Times in a row that it was refused for a passing reason."""
    troubles: int = 0
    """Errors of the server's and lost connections that it drew while others passed in between."""
    accepted_count: int = -1
    """Calls that the model had taken at the latest of these."""
    troubled_at: float = 0.0
    """When that was, on the clock of the event loop."""
    suspected_at: int | None = None
    """The model's latest call when it was refused, and that may have been everybody's matter."""
    fallback_level: int = 0
    """By how much the structure it is asked for is plainer than others'."""
    unusable_answers: int = 0
    """Answers that were no conversation."""
    unconfirmed_structures: frozenset[Structure] = frozenset()
    """Structures that it was refused in words, which may be its own."""
    requeues: int = 0
    """Times that it was put back because the account has learnt how else to ask."""
    hint: str | None = None
    """What was wrong with the latest of these."""

    def record_success(self) -> None:
        """Note a good answer: what was refused before it was the matter of the moment."""
        self.rejections = 0
        self.suspected_at = None
        self.unconfirmed_structures = frozenset()

    def is_alone(self, *, after: int) -> bool:
        """Return whether so many troubles, and some time without a good answer of others since, speak against it."""
        return self.troubles >= after and asyncio.get_running_loop().time() - self.troubled_at >= _ALONE_SECONDS

    def record_trouble(self, accepted_count: int, *, after: int = _TELLING_TROUBLES) -> bool:
        """Note an error that may be the server's or the item's; return whether it speaks against the item.

        The first may; each other does when others have passed since the one before. When nobody is left who could
        pass, some time will do instead, once `after` of them spoke against it.
        """
        if accepted_count <= self.accepted_count and not self.is_alone(after=after):
            return False
        self.troubles += 1
        self.accepted_count, self.troubled_at = accepted_count, asyncio.get_running_loop().time()
        return True


@dataclass(slots=True)
class ModelCall:
    """One request under way."""

    item: Item
    prompt: Prompt
    structure: Structure
    tries: ItemTries
    permit: Permit
    work: Work
    number: int
    """Among those of its model."""
    omitted: frozenset[str]
    """Parameters that it was made without, as they are not taken."""
    used: int | None = None
    """Its tokens, where the provider said so."""
