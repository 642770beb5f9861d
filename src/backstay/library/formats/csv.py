"""CSV for spreadsheets: one turn a row."""

import csv
import io

from backstay.library.conversation import Conversation

_COLUMNS = ("conversation_id", "topic", "persona", "sequence", "role", "content")
# A cell that starts so is run as a formula by spreadsheets (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class Csv:
    """One row a turn, UTF-8, CRLF line ends (RFC 4180); cells that a spreadsheet would run are made text."""

    def head(self) -> bytes:
        return _line(_COLUMNS)

    def chunk(self, conversation: Conversation) -> bytes:
        known = (conversation.id, conversation.topic, conversation.persona)
        return b"".join(
            _line([_neutral(cell) for cell in (*known, str(sequence), turn.role, turn.content)])
            for sequence, turn in enumerate(conversation.turns, start=1)
        )


def _neutral(cell: str | None) -> str:
    if cell is None:
        return ""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _line(cells: tuple[str, ...] | list[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().encode()
