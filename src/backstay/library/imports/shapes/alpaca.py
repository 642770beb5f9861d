"""Alpaca: an instruction, an optional input and an output."""

from collections.abc import Mapping, Sequence
from typing import Any

from backstay.library.imports.import_row import ImportRow
from backstay.library.imports.shape import Shape, take_tools, to_turns, with_system
from backstay.library.record import Document

_INPUTS = ("input", "context")
_OUTPUTS = ("output", "response")


class AlpacaShape(Shape):
    """Texts under `instruction`, `input` and `output`; `history` is a list of earlier questions with answers."""

    label = "instruction and output (Alpaca)"
    keys = ("instruction",)
    rank = 3

    def find(self, values: Mapping[str, Any]) -> Sequence[str]:
        if not isinstance(values.get("instruction"), str):
            return []
        return [f"instruction and {key}" for key in _OUTPUTS if values.get(key) is not None]

    def read(self, row: ImportRow, name: str) -> list[Document]:
        return [read_pair(row, name.rpartition(" ")[2])]


def read_pair(row: ImportRow, output_key: str) -> Document:
    """Return the conversation of an instruction and its output. Raises InvalidRow."""
    output, question = row.values.pop(output_key), take_question(row)
    turns = [*to_turns(question, "user", row), *to_turns(output, "assistant", row, start=len(question) + 1)]
    return row.to_document(with_system(turns, row), take_tools(row.values))


def take_question(row: ImportRow) -> list[dict[str, str]]:
    """Remove the history, the instruction and the input of a row, and return them as messages."""
    values = row.values
    texts = [values.pop("instruction", "")]  # a key with an empty text was removed
    key = next((key for key in _INPUTS if isinstance(values.get(key), str)), None)
    texts += [values.pop(key)] if key is not None else []
    history = values.get("history")
    is_list_of_pairs = isinstance(history, list) and all(map(_is_pair, history))
    pairs = values.pop("history") if is_list_of_pairs else []
    earlier = [
        {"role": role, "content": text}
        for pair in pairs
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    return [*earlier, {"role": "user", "content": "\n".join(filter(None, texts))}]


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(text, str) for text in value)
