"""The encoding of conversations in one format, which counts what it leaves out."""

from collections.abc import Sequence

from backstay.library.conversation import Conversation
from backstay.library.exports.losses import ExportFindings
from backstay.library.exports.request import ExportRequest
from backstay.library.formats import Format


class Encoder:
    """The encoder of one stream of an export: all of it, or one side of a split."""

    def __init__(self, export_format: Format, request: ExportRequest, findings: ExportFindings) -> None:
        self.conversations = 0
        """How many were written, without those that wait for others of their row."""
        self._format = export_format
        self._request = request
        self._findings = findings

    def head(self) -> bytes:
        """Return the bytes before the first conversation."""
        return self._format.head()

    @property
    def row_conversations(self) -> int:
        """How many conversations a row is made of."""
        return self._format.row_conversations

    @property
    def waiting(self) -> int:
        """How many conversations wait for others of their row."""
        return self._format.waiting

    def encode(self, conversations: Sequence[Conversation]) -> bytes:
        """Return the bytes of some conversations, and count what the format cannot hold."""
        export_format, findings, observers = self._format, self._findings, self._request.observers
        chunks = []
        self.conversations += export_format.waiting
        for conversation in conversations:
            prepared = export_format.prepare(conversation)
            findings.add(conversation, prepared)
            if (written := prepared.conversation) is None:
                continue
            self.conversations += 1
            for observer in observers:
                observer.observe(written)
            chunks.append(export_format.chunk(written))
            if left_out := export_format.omitted_fields(written):
                findings.left_out.update(left_out)
        self.conversations -= export_format.waiting
        return b"".join(chunks)

    def tail(self) -> bytes:
        """Return the bytes after the last conversation of a file."""
        tail = self._format.tail()
        self._findings.notes.extend(note for note in self._format.notes() if note not in self._findings.notes)
        return tail

    def finish(self) -> None:
        """Count the losses that are known only after the last conversation."""
        self._findings.add_final(self._format)

    def next_file(self) -> "Encoder":
        """Return the encoder of the next file of the same conversations."""
        return Encoder(self._format.next_file(), self._request, self._findings)
