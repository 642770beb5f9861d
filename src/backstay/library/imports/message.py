"""One message of a row as a turn: who speaks, the content, tool calls, reasoning."""

from collections.abc import Sequence
from typing import Any

from backstay.library.id_text import to_id
from backstay.library.imports.import_row import ImportRow, Values, plain_turn
from backstay.library.imports.speaker import ROLES, is_caller, quoted_speaker, role_of
from backstay.library.imports.tools import as_list, read_calls_text, read_tool_call, read_tool_calls
from backstay.library.record import Document
from backstay.library.thought import THOUGHT_STARTS, split_thought
from backstay.library.turn import text_of_parts

_REASONING = ("reasoning", "reasoning_content", "thinking")
_EMPTY: tuple[object, ...] = (None, "", [])
_IN_PLACE_OF_CONTENT = {"refusal": str, "audio": dict}


def read_message(
    message: Any, number: int, row: ImportRow, *, speaker_key: str = "role", content_keys: Sequence[str] = ("content",)
) -> Document:
    """Return the turn of a message. The first of `content_keys` that the message has holds its content.

    Keys with null, which Parquet adds, count as absent. Raises InvalidRow; the message names the turn, never the text.
    """
    if type(message) is not dict:
        raise row.error(f"turn {number} is not an object")
    if (turn := _read_plain(message, row, speaker_key, content_keys[0])) is not None:
        return turn
    values = {key: value for key, value in message.items() if value is not None}
    speaker = values.pop(speaker_key, None)
    role = read_role(speaker, number, row, speaker_key, content_keys[0])
    content_key = next((key for key in content_keys if key in values), None)
    value = values.pop(content_key) if content_key is not None else None
    fields = take_fields(values)
    content, parts = read_content(fields.get("parts") if value in _EMPTY else value, number, row)
    if parts is not None:
        if fields.setdefault("parts", parts) != parts and content_key is not None:
            raise row.error(f"turn {number} has two lists of parts; keep one of {content_key!r} and 'parts'")
        fields["parts"] = parts
    elif content and "parts" in fields:
        fields["parts"] = _with_text(fields["parts"], content, number, row)
    if role == "assistant" and not content and "parts" not in fields and (parts := _take_refusal_and_audio(values)):
        content, fields["parts"] = text_of_parts(parts), parts
    if is_caller(speaker) and "tool_calls" not in fields and (calls := read_calls_text(content)) is not None:
        content, fields["tool_calls"] = "", calls
    if not content and not fields and role != "tool" and content_key is None:
        raise row.error(f"turn {number} needs {speaker_key!r} and {content_keys[0]!r}")
    if row.split_reasoning and role == "assistant" and content[:1] in THOUGHT_STARTS:
        content = _split_reasoning(content, fields)
    return row.to_turn(number, role, content, values, fields)


def _read_plain(message: Values, row: ImportRow, speaker_key: str, content_key: str) -> Document | None:
    """Return the turn of a message that has a usual speaker, text and nothing else. Most are like that."""
    if len(message) != 2 or row.split_reasoning:
        return None
    speaker, content = message.get(speaker_key), message.get(content_key)
    if type(content) is not str or type(speaker) is not str or (role := ROLES.get(speaker)) is None:
        return None
    return plain_turn(role, content)


def read_role(
    speaker: Any, number: int, row: ImportRow, speaker_key: str = "role", content_key: str = "content"
) -> str:
    """Return the role of a speaker. Raises InvalidRow if it is not known."""
    if not isinstance(speaker, str):
        raise row.error(f"turn {number} needs {speaker_key!r} and {content_key!r}")
    if (role := role_of(speaker)) is None:
        raise row.error(
            f"turn {number} has the unknown speaker {quoted_speaker(speaker)}; "
            "rename it to user, assistant, system, developer or tool"
        )
    return role


def read_content(value: Any, number: int, row: ImportRow) -> tuple[str, list[Any] | None]:
    """Return the text of a content, and its parts if it is a list. Raises InvalidRow for any other value."""
    if value is None or isinstance(value, str):
        return value or "", None
    if not isinstance(value, list):
        raise row.error(f"the content of turn {number} must be text or a list of parts")
    parts = [_to_part(part) for part in value]
    if not _are_parts(parts):
        raise row.error(f"the content of turn {number} has a part that is neither text nor an object with a 'type'")
    return text_of_parts(parts), parts or None


def _with_text(parts: list[Any], content: str, number: int, row: ImportRow) -> list[Any]:
    """Return the parts that are next to a text, with that text as the first one if they have none."""
    text = text_of_parts(parts)
    if text and text != content:
        raise row.error(f"the content of turn {number} is not the text of its 'parts'; keep one of them")
    return parts if text else [{"type": "text", "text": content}, *parts]


def _are_parts(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(part, str) or (isinstance(part, dict) and isinstance(part.get("type"), str)) for part in value
    )


def _to_part(part: Any) -> Any:
    # Bedrock has text parts without a type.
    return {"type": "text", **part} if isinstance(part, dict) and part.keys() == {"text"} else part


def take_fields(values: Values) -> dict[str, Any]:
    """Remove the values that are fields of a turn, and return these as they are stored in its metadata.

    A value of another type stays where it is.
    """
    fields: dict[str, Any] = {}
    if (calls := _take_calls(values)) is not None:
        fields["tool_calls"] = calls
    if call_id := to_id(values.get("tool_call_id")):
        fields["tool_call_id"] = call_id
        del values["tool_call_id"]
    if isinstance(values.get("name"), str) and values["name"]:
        fields["name"] = values.pop("name")
    reasoning_key = next((key for key in _REASONING if values.get(key)), None)
    if reasoning_key is not None and isinstance(values[reasoning_key], str):
        fields["reasoning"] = values.pop(reasoning_key)
    if values.get("parts") and _are_parts(values["parts"]):
        fields["parts"] = values.pop("parts")
    for name in ("reasoning", "parts"):  # empty next to what another key holds
        if values.get(name) in ("", []):
            del values[name]
    return fields


def _take_refusal_and_audio(values: Values) -> list[dict[str, Any]]:
    """Remove the refusal and the audio that OpenAI's API has in place of content, and return them as parts."""
    names = [name for name, kind in _IN_PLACE_OF_CONTENT.items() if isinstance(values.get(name), kind) and values[name]]
    return [{"type": name, name: values.pop(name)} for name in names]


def _take_calls(values: Values) -> list[dict[str, Any]] | None:
    """Remove and return the tool calls, including the single one of OpenAI's older API; None if there are none."""
    entries = as_list(values.get("tool_calls"))
    if entries == []:
        del values["tool_calls"]
    if entries and (calls := read_tool_calls(entries)) is not None:
        del values["tool_calls"]
        return calls
    if not entries and (call := read_tool_call(values.get("function_call"))) is not None:
        del values["function_call"]
        return [call]
    return None


def _split_reasoning(content: str, fields: dict[str, Any]) -> str:
    if "reasoning" in fields or "parts" in fields:
        return content
    thought, rest = split_thought(content)
    if thought is not None:
        fields["reasoning"] = thought
    return rest if thought is not None else content
