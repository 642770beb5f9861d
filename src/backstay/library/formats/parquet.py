"""Parquet: one row per conversation, with its messages as a list and its descriptive fields as columns."""

import io
from concurrent.futures import Future, ThreadPoolExecutor

from backstay.errors import SettingsError
from backstay.library.conversation import Conversation
from backstay.library.formats import DESCRIPTIVE_FIELDS, DESCRIPTIVE_TURN_FIELDS, Format, FormatOptions
from backstay.library.loss import MORE_THAN_TEXT
from backstay.optional_packages import packages_missing

# Readers load a whole row group, and this writer collects one in memory.
_GROUP_ROWS = 10_000
_GROUP_CHARACTERS = 8 * 1024 * 1024
_BUFFER_BYTES = 4 * 1024 * 1024
# Dictionary encoding helps columns with repeated values; for others it only costs time.
_REPEATED = ("topic", "persona", "job_id", "messages.list.element.role", "messages.list.element.name")


class ParquetFormat(Format):
    """A table of conversations: `messages` in OpenAI's shape; `tools` and all metadata as JSON text."""

    label = "Parquet"
    media_type = "application/vnd.apache.parquet"
    suffix = "parquet"
    unusable_options = ("excel", "parsed_arguments")
    depends_on_turn_fields = True

    def __init__(self, options: FormatOptions = FormatOptions()) -> None:
        super().__init__(options)
        try:
            from pyarrow import BufferedOutputStream, PythonFile, default_memory_pool
            from pyarrow.parquet import ParquetWriter
        except ImportError as error:
            raise SettingsError(packages_missing("Parquet", "parquet")) from error
        from backstay.library.conversation_columns import ConversationColumns

        self.unsupported = () if options.turn_fields else MORE_THAN_TEXT
        self.written_fields = (*DESCRIPTIVE_FIELDS, *(DESCRIPTIVE_TURN_FIELDS if options.turn_fields else ()))
        self._columns = ConversationColumns(with_fields=options.turn_fields, added=self.added_fields)
        self._pool = default_memory_pool()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="backstay-parquet")
        self._writing: Future[None] | None = None
        self._file = io.BytesIO()
        # Every write to the Python file waits for the interpreter lock, so the writer's many small ones are collected.
        self._buffer = BufferedOutputStream(PythonFile(self._file, "w"), _BUFFER_BYTES)
        self._writer = ParquetWriter(
            self._buffer, self._columns.schema, compression="zstd", use_dictionary=list(_REPEATED)
        )

    def head(self) -> bytes:
        return self._take()

    def chunk(self, conversation: Conversation) -> bytes:
        self._columns.append(conversation)
        if self._columns.rows < _GROUP_ROWS and self._columns.characters < _GROUP_CHARACTERS:
            return b""
        return self._write_group()

    def tail(self) -> bytes:
        last_groups = self._write_group() if self._columns.rows else b""
        self._finish_writing()
        self._writer.close()
        self._thread.shutdown()
        return last_groups + self._take()

    def _write_group(self) -> bytes:
        """Start to write a group, and return the bytes of the one before it.

        Another thread encodes and compresses, which holds no interpreter lock, while the next group is collected.
        """
        batch = self._columns.take()
        self._finish_writing()
        written = self._take()
        self._writing = self._thread.submit(self._writer.write_batch, batch)
        return written

    def _finish_writing(self) -> None:
        if self._writing is not None:
            self._writing.result()
            self._pool.release_unused()  # by itself, it would keep twice what a group needs

    def _take(self) -> bytes:
        """Return the bytes written since the last call. The writer keeps its own position in the file."""
        self._buffer.flush()
        data = self._file.getvalue()
        self._file.seek(0)
        self._file.truncate()
        return data
