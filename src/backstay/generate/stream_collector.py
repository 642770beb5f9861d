"""From the parts of a streamed answer to the body that the same answer has without streaming. Pure."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from backstay.generate.delta_merger import DeltaMerger


class IncompleteStream(Exception):
    """What was streamed is not a whole answer. The message says why, and quotes nothing."""


class StreamCollector(Protocol):
    """Puts together the answer of one call, from the data of its events in order."""

    @property
    def error(self) -> Mapping[str, Any] | None:
        """The body of an error that came in place of the rest."""
        ...

    @property
    def is_finished(self) -> bool:
        """The model has said why it stopped."""
        ...

    def add(self, data: Mapping[str, Any]) -> None:
        """Take in the data of the next event. Raises IncompleteStream."""
        ...

    def body(self) -> Mapping[str, Any]:
        """Return the answer as far as it has come, or the error."""
        ...


_ANTHROPIC = ("message_", "content_block_", "error")


class AnyShapeCollector:
    """Collects a stream that was not asked for, in whichever shape it comes. Implements `StreamCollector`."""

    def __init__(self) -> None:
        self._collector: StreamCollector | None = None

    @property
    def error(self) -> Mapping[str, Any] | None:
        return self._collector.error if self._collector is not None else None

    @property
    def is_finished(self) -> bool:
        return self._collector is not None and self._collector.is_finished

    def add(self, data: Mapping[str, Any]) -> None:
        if self._collector is None:
            kind = data.get("type")
            if isinstance(kind, str) and kind.startswith(_ANTHROPIC) and "choices" not in data:
                self._collector = AnthropicCollector()
            elif "choices" in data or "error" in data or data.get("object"):
                self._collector = OpenAICollector()
            else:
                return  # a sign of life, such as a ping, is of no language
        self._collector.add(data)

    def body(self) -> Mapping[str, Any]:
        return self._collector.body() if self._collector is not None else {}


class OpenAICollector:
    """Collects chunks of a chat completion: the first choice of them. Implements `StreamCollector`."""

    def __init__(self) -> None:
        self.error: Mapping[str, Any] | None = None
        self.is_finished = False
        self._head: dict[str, Any] = {}
        self._message = DeltaMerger()
        self._calls: list[DeltaMerger] = []
        self._call_ids: list[Any] = []
        self._finish: Any = None
        self._usage: Any = None

    def add(self, data: Mapping[str, Any]) -> None:
        if data.get("error") or data.get("object") == "error":
            if self.is_finished and self._finish != "error":
                return  # what went wrong after the answer, in the accounting perhaps, does not make it less whole
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
        message = {"role": "assistant", "content": None, **self._message.joined()}
        if self._calls:
            message["tool_calls"] = [call.joined() for call in self._calls]
        choice = {"index": 0, "message": message, "finish_reason": self._finish}
        return {**self._head, "object": "chat.completion", "choices": [choice], **usage}

    def _add_choice(self, choice: Mapping[str, Any]) -> None:
        if choice.get("finish_reason"):
            self._finish, self.is_finished = choice["finish_reason"], True
        delta, whole = choice.get("delta"), choice.get("message")
        if not isinstance(delta, Mapping) and isinstance(whole, Mapping):  # some servers send all of it at once
            self._message, self._calls, self._call_ids = DeltaMerger(), [], []
            delta = whole
        delta = _mapping(delta)
        self._message.add({name: value for name, value in delta.items() if name != "tool_calls"})
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, Mapping):
                self._call_of(call).add({name: value for name, value in call.items() if name != "index"})

    def _call_of(self, call: Mapping[str, Any]) -> DeltaMerger:
        """Return the call that a part belongs to: by its index, or where there is none, by its id."""
        index, name = call.get("index"), call.get("id")
        label = ("index", index) if isinstance(index, int) else ("id", name)
        if label not in self._call_ids:
            if label == ("id", None) and self._calls:
                return self._calls[-1]
            self._call_ids.append(label)
            self._calls.append(DeltaMerger())
        return self._calls[self._call_ids.index(label)]


class AnthropicCollector:
    """Collects the events of a message. Implements `StreamCollector`."""

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
                self._note_usage(self._message.get("usage"))
            case "content_block_start":
                self._blocks[str(data.get("index"))] = _Block(_mapping(data.get("content_block")))
            case "content_block_delta":
                block = self._blocks.setdefault(str(data.get("index")), _Block({"type": "text"}))
                block.add(_mapping(data.get("delta")))
            case "message_delta":
                delta = _mapping(data.get("delta"))
                self._message |= delta
                self.is_finished = self.is_finished or bool(delta.get("stop_reason"))
                self._note_usage(data.get("usage"))
            case "message_stop":
                self.is_finished = True
            case "error" if not self.is_finished:
                self.error = data

    def body(self) -> Mapping[str, Any]:
        usage = {"usage": self._usage} if self._usage else {}
        if self.error is not None:
            return {**self.error, **usage}
        return {**self._message, "content": [block.whole() for block in self._blocks.values()], **usage}

    def _note_usage(self, usage: Any) -> None:
        # Later counts are of all so far, and may leave out what has not changed.
        self._usage |= {name: value for name, value in _mapping(usage).items() if value is not None}


class _Block:
    """One block of a message's content."""

    def __init__(self, start: Mapping[str, Any]) -> None:
        self._start = dict(start)
        self._pieces = DeltaMerger()

    def add(self, delta: Mapping[str, Any]) -> None:
        self._pieces.add({name: value for name, value in delta.items() if name != "type"})

    def whole(self) -> dict[str, Any]:
        parts = self._pieces.joined()
        written = parts.pop("partial_json", None)
        citation = parts.pop("citation", None)
        block = {**self._start, **parts}
        for name in ("text", "thinking"):  # the block may begin with some of it
            if isinstance(self._start.get(name), str) and name in parts:
                block[name] = self._start[name] + parts[name]
        if citation is not None:
            block["citations"] = citation
        if written:
            block["input"] = _json_or_text(written)
        return block


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _json_or_text(text: str) -> Any:
    """Return what a model wrote as JSON; as its text, where it stopped in the middle, or a key would be lost."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value
