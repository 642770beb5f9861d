"""ChatML: a conversation as one text with markers."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backstay.library.imports.import_row import ImportRow
from backstay.library.imports.message import read_message
from backstay.library.imports.shape import Shape, take_tools, with_system
from backstay.library.record import Document

_START = "<|im_start|>"
_TURN = re.compile(r"<\|im_start\|>([^\n]*)\n(.*?)<\|im_end\|>\s*", re.DOTALL)


class ChatMLShape(Shape):
    """Turns between `<|im_start|>` and `<|im_end|>` in one text."""

    label = f"text with {_START} (ChatML)"
    keys = ("text", "chatml")
    rank = 4

    def find(self, values: Mapping[str, Any]) -> Sequence[str]:
        return [
            key for key in self.keys if isinstance(values.get(key), str) and values[key].lstrip().startswith(_START)
        ]

    def read(self, row: ImportRow, name: str) -> list[Document]:
        turns = list(_read_turns(row.values.pop(name).lstrip(), row))
        return [row.to_document(with_system(turns, row), take_tools(row.values))]


def _read_turns(text: str, row: ImportRow) -> Iterator[Document]:
    end = number = 0
    while end < len(text):
        number += 1
        if (turn := _TURN.match(text, end)) is None or _START in turn[2]:
            raise row.error(
                f"turn {number} of the ChatML text has no line with its role, or does not end with <|im_end|>"
            )
        end = turn.end()
        yield read_message({"role": turn[1], "content": turn[2]}, number, row)
