"""Export formats. Each module here is one format with the module's name, so that a format is added as one file.

A format turns each conversation into one chunk of bytes, so that exports stream. Its `head` precedes the chunks.
"""

from abc import ABC, abstractmethod
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from backstay.library.conversation import Conversation

DEFAULT = "messages"


class Format(ABC):
    """An encoder of conversations. Each export uses a new instance."""

    label: ClassVar[str]
    """Its name for people."""
    media_type: ClassVar[str] = "application/jsonl"
    suffix: ClassVar[str] = "jsonl"

    def head(self) -> bytes:
        """Return the bytes before the first conversation."""
        return b""

    @abstractmethod
    def chunk(self, conversation: "Conversation") -> bytes:
        """Return the bytes of one conversation, with the line end."""


def format_names() -> list[str]:
    """Return the names of all formats, the default first. Loads none, since every command's help lists them."""
    return sorted((module.name for module in iter_modules(__path__)), key=lambda name: (name != DEFAULT, name))


def load_format(name: str) -> type[Format]:
    """Return the format of that name, the only one in its module."""
    module = import_module(f"{__name__}.{name}")
    (format_class,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Format) and value.__module__ == module.__name__
    )
    return format_class
