"""CSV for spreadsheets: one row per turn."""

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

import orjson

from backstay.library.conversation import Conversation
from backstay.library.formats import Format, FormatOptions

_COLUMNS = ("conversation_id", "topic", "persona", "sequence", "role", "content")
# Spreadsheets run a cell that starts with one of these as a formula (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_EXCEL_CHARACTERS = 32_767  # Excel truncates longer cells silently
_BLANKS = " \u00a0\u3000\ufeff"  # some spreadsheets skip these
# Characters that control a terminal or break CSV readers; tabs and line breaks stay, within quotes.
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class CsvFormat(Format):
    """One row per turn, UTF-8, CRLF line ends (RFC 4180).

    Formulas become text, and control characters become escapes such as `\\x1b`.
    """

    label = "CSV, a row per turn"
    is_for_training = False
    media_type = "text/csv; charset=utf-8"
    suffix = "csv"
    unusable_options = ("metadata", "parsed_arguments")
    written_fields = ("id", "topic", "persona")

    def __init__(self, options: FormatOptions = FormatOptions()) -> None:
        super().__init__(options)
        self._long_cells = 0
        self._changed_cells = 0

    def head(self) -> bytes:
        return (b"\xef\xbb\xbf" if self.options.excel else b"") + _line((*_COLUMNS, *self.added_fields))

    def chunk(self, conversation: Conversation) -> bytes:
        shared_cells = (conversation.id, conversation.topic, conversation.persona)
        turns = conversation.turns
        self._long_cells += sum(len(turn.content) > _EXCEL_CHARACTERS for turn in turns)
        added = [_to_cell(value) for _, value in self.added_values(conversation)]
        rows = [
            (*shared_cells, str(sequence), turn.role, turn.content, *added)
            for sequence, turn in enumerate(turns, start=1)
        ]
        return b"".join(_line([self._neutralize(cell) for cell in row]) for row in rows)

    def _neutralize(self, cell: str | None) -> str:
        neutral = _neutralize(cell or "")
        self._changed_cells += neutral != (cell or "")
        return neutral

    def notes(self) -> Sequence[str]:
        notes = []
        if self._changed_cells:
            cells = "1 cell was" if self._changed_cells == 1 else f"{self._changed_cells:,} cells were"
            notes.append(
                f"{cells} changed: ' was put before text that a spreadsheet would run as a formula, and control "
                "characters were escaped."
            )
        if self._long_cells:
            cells = "1 cell is" if self._long_cells == 1 else f"{self._long_cells:,} cells are"
            notes.append(f"{cells} longer than {_EXCEL_CHARACTERS:,} characters, the most that Excel shows.")
        return notes


def _neutralize(cell: str) -> str:
    escaped = _CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", cell)
    return f"'{escaped}" if escaped.lstrip(_BLANKS).startswith(_FORMULA) else escaped


def _to_cell(value: Any) -> str | None:
    return value if isinstance(value, str | None) else orjson.dumps(value).decode()


def _line(cells: tuple[str, ...] | list[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().encode()
