"""Parquet: one row per conversation, with its messages as a list and its descriptive fields as columns."""

import io

from backstay.errors import SettingsError
from backstay.library.conversation import Conversation
from backstay.library.formats import DESCRIPTIVE_FIELDS, DESCRIPTIVE_TURN_FIELDS, Format, FormatOptions
from backstay.library.loss import MORE_THAN_TEXT, Loss
from backstay.optional_packages import packages_missing

# Readers load a whole row group, and this writer collects one in memory.
_GROUP_ROWS = 10_000
_GROUP_CHARACTERS = 8 * 1024 * 1024
# Dictionary encoding helps columns with repeated values; for others it only costs time.
_REPEATED = ("topic", "persona", "job_id", "messages.list.element.role", "messages.list.element.name")


class ParquetFormat(Format):
    """A table of conversations: `messages` in OpenAI's shape; `tools` and all metadata as JSON text."""

    label = "Parquet"
    media_type = "application/vnd.apache.parquet"
    suffix = "parquet"
    depends_on_turn_fields = True

    def __init__(self, options: FormatOptions = FormatOptions()) -> None:
        super().__init__(options)
        try:
            from pyarrow import default_memory_pool
            from pyarrow.parquet import ParquetWriter
        except ImportError as error:
            raise SettingsError(packages_missing("Parquet", "parquet")) from error
        from backstay.library.conversation_columns import ConversationColumns

        self.unsupported = (Loss.TOOL_CALL_KEYS,) if options.turn_fields else MORE_THAN_TEXT
        self.written_fields = (*DESCRIPTIVE_FIELDS, *(DESCRIPTIVE_TURN_FIELDS if options.turn_fields else ()))
        self._columns = ConversationColumns(with_fields=options.turn_fields)
        self._pool = default_memory_pool()
        self._file = io.BytesIO()
        self._writer = ParquetWriter(
            self._file, self._columns.schema, compression="zstd", use_dictionary=list(_REPEATED)
        )

    def head(self) -> bytes:
        return self._take()

    def chunk(self, conversation: Conversation) -> bytes:
        self._columns.append(self.options.apply(conversation))
        if self._columns.rows >= _GROUP_ROWS or self._columns.characters >= _GROUP_CHARACTERS:
            self._write_group()
        return self._take()

    def tail(self) -> bytes:
        if self._columns.rows:
            self._write_group()
        self._writer.close()
        return self._take()

    def _write_group(self) -> None:
        self._writer.write_batch(self._columns.take())
        self._pool.release_unused()  # by itself, it would keep twice what a group needs

    def _take(self) -> bytes:
        """Return the bytes written since the last call. The writer keeps its own position in the file."""
        data = self._file.getvalue()
        self._file.seek(0)
        self._file.truncate()
        return data
