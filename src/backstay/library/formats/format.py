"""The interface of export formats."""

from typing import Protocol

from backstay.library.conversation import Conversation


class Format(Protocol):
    """An encoder of conversations. Each export uses a new instance."""

    def head(self) -> bytes:
        """Return the bytes before the first conversation."""
        ...

    def chunk(self, conversation: Conversation) -> bytes:
        """Return the bytes of one conversation, with the line end."""
        ...
