"""Conversations in an export format, as an export writes them."""

from backstay.library.conversation import Conversation
from backstay.library.formats import Format


def export(form: Format, *conversations: Conversation) -> bytes:
    """Return a whole file of conversations."""
    return form.head() + b"".join(export_one(form, each) for each in conversations) + form.tail()


def export_one(form: Format, conversation: Conversation) -> bytes:
    """Return the bytes of one conversation; none if nothing of it is written."""
    written = form.prepare(conversation).conversation
    return b"" if written is None else form.chunk(written)
