"""Alpaca: an instruction, an optional input and an output."""

from collections.abc import Mapping, Sequence
from typing import Any

from backstay.library.imports.import_row import ImportRow
from backstay.library.imports.shape import Shape, read_exchange
from backstay.library.record import Document

_INPUTS = ("input", "context")
_OUTPUTS = ("output", "response")


class AlpacaShape(Shape):
    """Texts under `instruction`, `input` and `output`; `history` is a list of earlier questions with answers."""

    label = "instruction and output (Alpaca)"
    keys = ("instruction",)
    more_keys = (*_INPUTS, *_OUTPUTS)
    rank = 3

    def find(self, values: Mapping[str, Any]) -> Sequence[str]:
        if not isinstance(values.get("instruction"), str):
            return []
        return [f"instruction and {key}" for key in _OUTPUTS if values.get(key) is not None]

    def read(self, row: ImportRow, name: str) -> list[Document]:
        return [read_pair(row, name.rpartition(" ")[2])]


def read_pair(row: ImportRow, output_key: str) -> Document:
    """Return the conversation of an instruction and its output. Raises InvalidRow."""
    output = row.values.pop(output_key)
    return read_exchange(row, take_question(row), output)


def take_question(row: ImportRow) -> list[dict[str, str]]:
    """Remove the instruction and the input of a row, and return them as a message. Raises InvalidRow."""
    values = row.values
    texts = [values.pop("instruction", "")]  # a key with an empty text was removed
    if (key := next((key for key in _INPUTS if values.get(key) not in (None, [])), None)) is not None:
        texts.append(values.pop(key))
        if not isinstance(texts[-1], str):
            raise row.error(f"{key!r} must be text, since it is part of the question")
    return [{"role": "user", "content": "\n".join(filter(None, texts))}]
