"""Collection of a streamed answer into the body that the same answer has without streaming. Pure."""

import json
from collections.abc import Mapping
from typing import Any

_ANTHROPIC_TYPES = ("message_", "content_block_", "error")
_WHOLE_FIELDS = frozenset({"role", "type", "id", "name"})  # sent once, or repeated in each delta


class IncompleteStream(Exception):
    """A stream without a whole answer. The message says why, and quotes nothing."""


class StreamCollector:
    """A collector of a streamed answer in either API, detected from its events."""

    def __init__(self) -> None:
        self._collector: OpenAICollector | AnthropicCollector | None = None

    @property
    def error(self) -> Mapping[str, Any] | None:
        """The body of an error that ended the stream."""
        return self._collector.error if self._collector is not None else None

    @property
    def is_finished(self) -> bool:
        """Whether the model has given its finish reason."""
        return self._collector is not None and self._collector.is_finished

    def add(self, data: Mapping[str, Any]) -> None:
        """Add the data of the next event."""
        if self._collector is None:
            kind = data.get("type")
            if isinstance(kind, str) and kind.startswith(_ANTHROPIC_TYPES) and "choices" not in data:
                self._collector = AnthropicCollector()
            elif "choices" in data or "error" in data or data.get("object"):
                self._collector = OpenAICollector()
            else:
                return  # a keep-alive event, such as a ping, fits either API
        self._collector.add(data)

    def body(self) -> Mapping[str, Any]:
        """Return the answer received so far, or the error."""
        return self._collector.body() if self._collector is not None else {}


class OpenAICollector:
    """A collector of the first choice of a chat completion."""

    def __init__(self) -> None:
        self.error: Mapping[str, Any] | None = None
        self.is_finished = False
        self._head: dict[str, Any] = {}
        self._message = _DeltaMerger()
        self._calls: list[_DeltaMerger] = []
        self._call_ids: list[Any] = []
        self._finish: Any = None
        self._usage: Any = None

    def add(self, data: Mapping[str, Any]) -> None:
        if data.get("error") or data.get("object") == "error":
            if self.is_finished and self._finish != "error":
                return  # an error after a complete answer does not affect it
            self.error = data if data.get("error") else {"error": data}
            return
        self._head |= {name: value for name, value in data.items() if name not in ("choices", "usage")}
        self._usage = data.get("usage") or self._usage
        choices = data.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, Mapping) and not choice.get("index"):
                self._add_choice(choice)

    def body(self) -> Mapping[str, Any]:
        usage = {"usage": self._usage} if self._usage is not None else {}
        if self.error is not None:
            return {**self.error, **usage}
        message = {"role": "assistant", "content": None, **self._message.join()}
        if self._calls:
            message["tool_calls"] = [call.join() for call in self._calls]
        choice = {"index": 0, "message": message, "finish_reason": self._finish}
        return {**self._head, "object": "chat.completion", "choices": [choice], **usage}

    def _add_choice(self, choice: Mapping[str, Any]) -> None:
        if choice.get("finish_reason"):
            self._finish, self.is_finished = choice["finish_reason"], True
        delta, whole = choice.get("delta"), choice.get("message")
        if not isinstance(delta, Mapping) and isinstance(whole, Mapping):  # some servers send the whole message at once
            self._message, self._calls, self._call_ids = _DeltaMerger(), [], []
            delta = whole
        delta = _mapping(delta)
        self._message.add({name: value for name, value in delta.items() if name != "tool_calls"})
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, Mapping):
                self._call_of(call).add({name: value for name, value in call.items() if name != "index"})

    def _call_of(self, call: Mapping[str, Any]) -> "_DeltaMerger":
        """Return the tool call that a delta belongs to, by its index or, without one, by its id."""
        index, name = call.get("index"), call.get("id")
        label = ("index", index) if isinstance(index, int) else ("id", name)
        if label not in self._call_ids:
            if label == ("id", None) and self._calls:
                return self._calls[-1]
            self._call_ids.append(label)
            self._calls.append(_DeltaMerger())
        return self._calls[self._call_ids.index(label)]


class AnthropicCollector:
    """A collector of the events of an Anthropic message."""

    def __init__(self) -> None:
        self.error: Mapping[str, Any] | None = None
        self.is_finished = False
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks: dict[str, _Block] = {}

    def add(self, data: Mapping[str, Any]) -> None:
        match data.get("type"):
            case "message_start":
                self._message |= _mapping(data.get("message"))
                self._add_usage(self._message.get("usage"))
            case "content_block_start":
                self._blocks[str(data.get("index"))] = _Block(_mapping(data.get("content_block")))
            case "content_block_delta":
                block = self._blocks.setdefault(str(data.get("index")), _Block({"type": "text"}))
                block.add(_mapping(data.get("delta")))
            case "message_delta":
                delta = _mapping(data.get("delta"))
                self._message |= delta
                self.is_finished = self.is_finished or bool(delta.get("stop_reason"))
                self._add_usage(data.get("usage"))
            case "message_stop":
                self.is_finished = True
            case "error" if not self.is_finished:
                self.error = data

    def body(self) -> Mapping[str, Any]:
        usage = {"usage": self._usage} if self._usage else {}
        if self.error is not None:
            return {**self.error, **usage}
        return {**self._message, "content": [block.whole() for block in self._blocks.values()], **usage}

    def _add_usage(self, usage: Any) -> None:
        # Counts are cumulative, and later events may omit unchanged ones.
        self._usage |= {name: value for name, value in _mapping(usage).items() if value is not None}


class _Block:
    """One block of a message's content."""

    def __init__(self, start: Mapping[str, Any]) -> None:
        self._start = dict(start)
        self._pieces = _DeltaMerger()
        self._citations: list[Any] = []

    def add(self, delta: Mapping[str, Any]) -> None:
        if "citation" in delta:  # a whole one, unlike texts, which arrive in pieces
            self._citations.append(delta["citation"])
        self._pieces.add({name: value for name, value in delta.items() if name not in ("type", "citation")})

    def whole(self) -> dict[str, Any]:
        values = self._pieces.join()
        arguments = values.pop("partial_json", None)
        block = {**self._start, **values}
        for name in ("text", "thinking"):  # the start event may contain the beginning
            if isinstance(self._start.get(name), str) and name in values:
                block[name] = self._start[name] + values[name]
        if self._citations:
            block["citations"] = self._citations
        if arguments:
            block["input"] = _json_or_text(arguments)
        return block


class _DeltaMerger:
    """A merger of values that arrive in pieces: texts, lists and objects are joined, other values are replaced."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def add(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            merged = self._values.get(name)
            if value is None or value == [] or (value == "" and name in _WHOLE_FIELDS):
                continue
            if isinstance(value, str | list) and name not in _WHOLE_FIELDS:
                pieces = merged if isinstance(merged, list) else []
                pieces += [value] if isinstance(value, str) else value
                self._values[name] = pieces
            elif isinstance(value, Mapping) and name not in _WHOLE_FIELDS:
                inner = merged if isinstance(merged, _DeltaMerger) else _DeltaMerger()
                inner.add(value)
                self._values[name] = inner
            else:
                self._values[name] = value

    def join(self) -> dict[str, Any]:
        return {name: _join_value(value) for name, value in self._values.items()}


def _join_value(value: Any) -> Any:
    if isinstance(value, _DeltaMerger):
        return value.join()
    if not isinstance(value, list):
        return value
    if all(isinstance(piece, str) for piece in value):
        return "".join(value)
    return [{"type": "text", "text": piece} if isinstance(piece, str) else piece for piece in value]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _json_or_text(text: str) -> Any:
    """Return parsed JSON, or the text itself if it is truncated or has a duplicate key."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("duplicate key")
    return value
