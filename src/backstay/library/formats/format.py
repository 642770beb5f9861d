"""What a format is."""

from typing import Protocol

from backstay.library.conversation import Conversation


class Format(Protocol):
    """Writes conversations in one shape. An instance serves one export."""

    def head(self) -> bytes:
        """Return what stands before the first conversation."""
        ...

    def chunk(self, conversation: Conversation) -> bytes:
        """Return one conversation, line end included."""
        ...
