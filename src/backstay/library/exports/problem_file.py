"""The file of problems: the conversations that an export cannot write whole, or that trainers would refuse."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from backstay.errors import BackstayError, ConversationUnwritable, LossyExport, RefusedByTrainers
from backstay.files import write_atomically
from backstay.library.exports.request import ExportRequest
from backstay.library.id_text import printed_id


@contextmanager
def record_problems(request: ExportRequest, *, excluded: Iterable[Path]) -> Iterator[ExportRequest]:
    """Write the file of problems of a request, if it names one; yield the request to export with.

    The file is also written if the problems refuse the export. It cannot replace one of `excluded`. Raises
    OutputUnwritable.
    """
    if request.problems is None:
        yield request
        return
    refusal: BackstayError | None = None
    with write_atomically(request.problems, excluded=excluded) as file:

        def add(conversation_id: str, reasons: Sequence[str]) -> None:
            file.write(f"{printed_id(conversation_id)}\t{'; '.join(reasons)}\n".encode())

        try:
            yield replace(request, on_problem=add)
        except (ConversationUnwritable, LossyExport, RefusedByTrainers) as error:
            refusal = error
    if refusal is not None:
        raise refusal
