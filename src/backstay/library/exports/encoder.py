"""The encoding of conversations in one format, which counts what it leaves out."""

from collections.abc import Collection, Sequence

from backstay.library.conversation import Conversation
from backstay.library.exports.losses import ExportFindings
from backstay.library.exports.request import ExportRequest
from backstay.library.exports.trainer_observer import TrainerObserver
from backstay.library.formats import Format, Loss, PreparedConversation
from backstay.library.trainer_checks import WarningKind


class Encoder:
    """The encoder of one stream of an export: all of it, or one side of a split."""

    def __init__(
        self, export_format: Format, request: ExportRequest, findings: ExportFindings, trainers: TrainerObserver
    ) -> None:
        self.conversations = 0
        """How many were written, without those that wait for others of their row."""
        self._format = export_format
        self._request = request
        self._findings = findings
        self._trainers = trainers

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
        on_problem = self._request.on_problem
        chunks = []
        self.conversations += export_format.waiting
        for conversation in conversations:
            prepared = export_format.prepare(conversation)
            findings.add(conversation, prepared)
            written = prepared.conversation
            warnings = self._trainers.observe(written) if written is not None else ()
            if on_problem is not None and (reasons := _reasons(prepared, warnings)):
                on_problem(str(conversation.id), reasons)
            if written is None:
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
        losses = self._format.final_losses()
        self._findings.add_final(losses)
        if (on_problem := self._request.on_problem) is not None:
            for conversation_id, loss in losses:
                on_problem(conversation_id, [_left_out(loss)])

    def next_file(self) -> "Encoder":
        """Return the encoder of the next file of the same conversations."""
        return Encoder(self._format.next_file(), self._request, self._findings, self._trainers)


def _reasons(prepared: PreparedConversation, warnings: Collection[WarningKind]) -> list[str]:
    """Return why a conversation is not written whole, or why trainers would refuse it, as phrases."""
    refusal = [] if prepared.refusal is None else [f"cannot be written: {prepared.refusal}"]
    is_left_out = prepared.conversation is None
    losses = [_left_out(loss) if is_left_out else f"loses {loss}" for loss in prepared.losses]
    return [*refusal, *losses, *(kind.phrase for kind in warnings)]


def _left_out(loss: Loss) -> str:
    return f"is left out, like all {loss}"
