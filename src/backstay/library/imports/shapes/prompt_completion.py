"""A prompt and its completion, as texts or lists of messages, under many names."""

from collections.abc import Mapping, Sequence
from typing import Any

from backstay.library.imports.import_row import ImportRow, Values
from backstay.library.imports.shape import Shape, read_exchange
from backstay.library.imports.tools import as_list, read_tool_calls
from backstay.library.record import Document

_PAIRS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("question", "answer"),
    ("question", "response"),
    ("query", "response"),
    ("query", "answer"),
    ("problem", "solution"),
)
_CALLS = ("query", "answers")
_INPUT, _OUTPUT = "input", "output"


class PromptCompletionShape(Shape):
    """A question and an answer. The tool calls of APIGen's files are an answer too."""

    label = "prompt and completion (or question and answer)"
    keys = ("prompt", "question", "query", "problem", _INPUT)
    more_keys = (*(answer for _, answer in (*_PAIRS, _CALLS)), _OUTPUT)
    rank = 3

    def find(self, values: Mapping[str, Any]) -> Sequence[str]:
        pairs = [*_PAIRS, _CALLS] if _calls_of(values) else _PAIRS
        found = [
            f"{first} and {second}" for first, second in pairs if values.get(first) and values.get(second) is not None
        ]
        return found or ([f"{_INPUT} and {_OUTPUT}"] if _has_input_and_output(values) else [])

    def read(self, row: ImportRow, name: str) -> list[Document]:
        first, _, second = name.partition(" and ")
        calls = _calls_of(row.values) if second == _CALLS[1] else None
        question, answer = row.values.pop(first), row.values.pop(second)
        if calls is not None:
            answer = {"role": "assistant", "content": None, "tool_calls": calls}
        return [read_exchange(row, question, answer)]


def _has_input_and_output(values: Mapping[str, Any]) -> bool:
    """Return whether `input` is the question of the row. Next to an instruction, it is a part of that."""
    are_turns = all(values.get(key) and isinstance(values[key], str | list) for key in (_INPUT, _OUTPUT))
    return are_turns and not isinstance(values.get("instruction"), str)


def _calls_of(values: Mapping[str, Any]) -> list[Values] | None:
    entries = as_list(values.get(_CALLS[1]))
    return read_tool_calls(entries) if entries else None
