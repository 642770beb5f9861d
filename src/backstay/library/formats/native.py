"""The native shape: all fields of a conversation, one conversation per line."""

from backstay.library.conversation import Conversation
from backstay.library.formats import DESCRIPTIVE_FIELDS, DESCRIPTIVE_TURN_FIELDS, Format
from backstay.library.json_lines import write_line


class NativeFormat(Format):
    """The native shape (`Conversation.to_dict`) with the review, as JSON lines."""

    label = "All fields (JSONL)"
    is_for_training = False
    unusable_options = ("excel", "parsed_arguments", "with_fields")
    unsupported = ()
    written_fields = (*DESCRIPTIVE_FIELDS, *DESCRIPTIVE_TURN_FIELDS)

    def chunk(self, conversation: Conversation) -> bytes:
        review = conversation.review
        return write_line({**conversation.to_dict(), "review": review.to_dict() if review is not None else None})
