"""Preferences: two answers to one prompt, one chosen and one rejected."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from backstay.library.id_text import to_id
from backstay.library.imports.import_row import ImportRow
from backstay.library.imports.shape import (
    LIST_KEYS,
    Shape,
    is_past,
    speaker_key_of,
    take_history,
    take_tools,
    to_messages,
    to_turns,
    with_system,
)
from backstay.library.imports.shapes.alpaca import take_question
from backstay.library.imports.speaker import role_of
from backstay.library.record import Document

_ANSWERS = {"chosen": "chosen", "rejected": "rejected"}
_OPENAI_ANSWERS = {"preferred_output": "chosen", "non_preferred_output": "rejected"}
_PROMPTS = ("prompt", "question", "query", *LIST_KEYS)
_DIGEST_DIGITS = 32
# The dialogues of hh-rlhf are texts with these markers.
_MARKER = re.compile(r"\n\n(Human|Assistant):[ ]?")


class PreferenceShape(Shape):
    """A prompt with a chosen and a rejected answer: texts, messages or lists of messages.

    They become two conversations, which differ in `preference` and share `preference_pair` in their metadata.
    """

    label = "chosen and rejected (preferences)"
    keys = (*_ANSWERS, *_OPENAI_ANSWERS)
    rank = 1

    def find(self, values: Mapping[str, Any]) -> Sequence[str]:
        return [
            _name_of(answers)
            for answers in (_ANSWERS, _OPENAI_ANSWERS)
            if all(values.get(key) and isinstance(values[key], str | list | dict) for key in answers)
        ]

    def read(self, row: ImportRow, name: str) -> list[Document]:
        pair_id, values = _pair_id(row), row.values
        labels = _ANSWERS if name == _name_of(_ANSWERS) else _OPENAI_ANSWERS
        answers = {label: _parse_markers(values.pop(key)) for key, label in labels.items()}
        if isinstance(values.get("input"), dict):
            values.update({key: value for key, value in values.pop("input").items() if value not in (None, "", [])})
        prompt = _take_prompt(row, answers)
        tools, documents = take_tools(values), []
        for label, answer in answers.items():
            own = replace(row, values=dict(values))
            turns = with_system(_join(prompt, answer, own), own)
            document = own.to_document(turns, {**tools, "preference": label, "preference_pair": pair_id})
            if document["id"] is not None:
                document["id"] = f"{document['id']}-{label}"
            documents.append(document)
        return documents


def _name_of(answers: Mapping[str, str]) -> str:
    return " and ".join(answers)


def _pair_id(row: ImportRow) -> str:
    """Return the id of the row, otherwise a digest of it, so that importing the row again gives the same id."""
    if (text := to_id(row.values.get("id"))) is not None:
        return text
    text = json.dumps(row.values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_DIGITS]


def _take_prompt(row: ImportRow, answers: Mapping[str, Any]) -> Any:
    """Remove the prompt and return it: text or messages. None if the answers begin with it."""
    values, lists = row.values, list(answers.values())
    for key in LIST_KEYS:
        if key in values and values[key] in lists:
            del values[key]  # a copy of an answer
    keys = [
        key
        for key in _PROMPTS
        if values.get(key)
        and (isinstance(values[key], str) or speaker_key_of(values[key]))
        and not is_past(key, values)
    ]
    if all(map(_has_question, lists)):
        keys = [key for key in keys if not isinstance(values[key], str)]
        if "prompt" in values and values["prompt"] in _texts(lists[0]):
            del values["prompt"]
    if isinstance(values.get("instruction"), str):
        keys.append("instruction")
    if len(keys) > 1:
        raise row.error(f"both {keys[0]!r} and {keys[1]!r} could be the prompt; keep one of them")
    if not keys:
        return take_history(row) or None
    prompt = take_question(row) if keys == ["instruction"] else _parse_markers(values.pop(keys[0]))
    history = take_history(row)
    return [*history, *to_messages(prompt, "user")] if history else prompt


def _has_question(answer: Any) -> bool:
    return isinstance(answer, list) and any(
        isinstance(message, dict) and role_of(message.get("role", message.get("from"))) == "user" for message in answer
    )


def _texts(messages: Sequence[Any]) -> Sequence[Any]:
    return [message.get("content", message.get("value")) for message in messages if isinstance(message, dict)]


def _join(prompt: Any, answer: Any, row: ImportRow) -> list[Document]:
    if isinstance(prompt, list) and isinstance(answer, list) and answer[: len(prompt)] == prompt:
        prompt = None
    turns = [] if prompt is None else to_turns(prompt, "user", row)
    return [*turns, *to_turns(answer, "assistant", row, start=len(turns) + 1)]


def _parse_markers(value: Any) -> Any:
    """Return a text in the style of hh-rlhf as messages; any other value unchanged."""
    if not isinstance(value, str) or len(pieces := _MARKER.split(value)) < 3 or pieces[0].strip():
        return value
    messages = [{"role": role, "content": text} for role, text in zip(pieces[1::2], pieces[2::2], strict=True)]
    return [message for message in messages if message["content"].strip()]
