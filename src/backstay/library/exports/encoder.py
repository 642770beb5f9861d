"""The encoding of conversations in one format, with their findings."""

from collections.abc import Sequence

from backstay.library.conversation import Conversation
from backstay.library.exports.losses import ExportFindings
from backstay.library.exports.request import ExportRequest
from backstay.library.formats import Format


class Encoder:
    """The encoder of one stream of an export: all of it, or one side of a split."""

    def __init__(self, form: Format, request: ExportRequest, findings: ExportFindings) -> None:
        self.conversations = 0
        """How many were written, without those that wait for others of their row."""
        self._form = form
        self._request = request
        self._findings = findings

    def head(self) -> bytes:
        """Return the bytes before the first conversation."""
        return self._form.head()

    @property
    def row_conversations(self) -> int:
        """How many conversations a row is made of."""
        return self._form.row_conversations

    @property
    def waiting(self) -> int:
        """How many conversations wait for others of their row."""
        return self._form.waiting

    def encode(self, conversations: Sequence[Conversation]) -> bytes:
        """Return the bytes of some conversations, without what the format cannot hold, which is counted."""
        form, findings, observers = self._form, self._findings, self._request.observers
        chunks = []
        self.conversations += form.waiting
        for conversation in conversations:
            if not findings.add(form, conversation):
                continue
            self.conversations += 1
            written = form.as_written(conversation)
            for observer in observers:
                observer.observe(written)
            chunks.append(form.chunk(conversation))
            if left_out := form.unwritten(conversation):
                findings.left_out.update(left_out)
        self.conversations -= form.waiting
        return b"".join(chunks)

    def tail(self) -> bytes:
        """Return the bytes after the last conversation of a file."""
        tail = self._form.tail()
        self._findings.notes.extend(note for note in self._form.notes() if note not in self._findings.notes)
        return tail

    def finish(self) -> None:
        """Count what shows only after the last conversation of all."""
        self._findings.add_final(self._form)

    def next_file(self) -> "Encoder":
        """Return the encoder of the next file of the same conversations."""
        return Encoder(self._form.next_file(), self._request, self._findings)
