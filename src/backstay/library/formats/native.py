"""The native shape: all fields of a conversation, one conversation per line."""

from backstay.library.conversation import Conversation
from backstay.library.formats import DESCRIPTIVE_FIELDS, DESCRIPTIVE_TURN_FIELDS, Format
from backstay.library.json_lines import write_line


class NativeFormat(Format):
    """The native shape (`Conversation.to_dict`), as JSON lines."""

    label = "All fields (JSONL)"
    is_for_training = False
    unusable_options = ("excel", "parsed_arguments", "with_fields")
    unsupported = ()
    written_fields = (*DESCRIPTIVE_FIELDS, *DESCRIPTIVE_TURN_FIELDS)

    def chunk(self, conversation: Conversation) -> bytes:
        return write_line(conversation.to_dict())
