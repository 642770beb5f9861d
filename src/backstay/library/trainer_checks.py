"""Checks for conversations that training programs refuse or skip, although the library may store them.

The comment of each kind of warning names the programs that refuse such conversations:

- OpenAI: the checks of its cookbook ("Data preparation and analysis for chat model fine-tuning"), the schema of a
  training example in its OpenAPI description, and the errors of its chat API.
- Mistral: `MistralRequestValidator` of mistral-common in the mode `finetuning`.
- Templates: the chat templates bundled with TRL, such as those of Gemma and Qwen 3.5, which fail.
- LLaMA-Factory: `OpenAIDatasetConverter` and `SharegptDatasetConverter`, which skip invalid examples.
- Axolotl: `ChatTemplateStrategy.transform_message`.
- Together: `check_file` of its Python package.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import chain

from backstay.errors import RefusedByTrainers
from backstay.library.content_blocks import is_anthropic_part
from backstay.library.conversation import Conversation
from backstay.library.id_text import quoted_id
from backstay.library.training_content import field_block_types, is_json_object
from backstay.library.turn import ToolCall, Turn, part_type

_SYSTEM, _USER, _ASSISTANT, _TOOL = "system", "user", "assistant", "tool"
_ROLE_ALIASES = {"developer": _SYSTEM, "function": _TOOL}  # OpenAI's newer and older names
_EXCHANGE = (_USER, _ASSISTANT)
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_WEIGHT = "weight"


class WarningKind(StrEnum):
    """A reason why trainers refuse a conversation."""

    ENDS_WITH_USER = "ends_with_user"  # Mistral, LLaMA-Factory
    ENDS_WITH_TOOL_RESULT = "ends_with_tool_result"  # Mistral, LLaMA-Factory
    NO_ASSISTANT = "no_assistant"  # OpenAI, Mistral, LLaMA-Factory
    BEGINS_WITH_ASSISTANT = "begins_with_assistant"  # templates (Gemma, Cohere), LLaMA-Factory
    SYSTEM_NOT_FIRST = "system_not_first"  # Mistral, templates (Qwen 3.5 and later, Gemma 3), LLaMA-Factory
    USER_AFTER_USER = "user_after_user"  # templates (Gemma, Cohere), LLaMA-Factory, Together
    ASSISTANT_AFTER_ASSISTANT = "assistant_after_assistant"  # templates (Gemma, Cohere), LLaMA-Factory, Together
    EMPTY_ASSISTANT = "empty_assistant"  # OpenAI, Mistral
    UNKNOWN_ROLE = "unknown_role"  # OpenAI, Mistral, templates (Qwen 3.5 and later), LLaMA-Factory, Together
    RESULT_WITHOUT_CALL = "result_without_call"  # OpenAI, Mistral, templates (gpt-oss)
    CALL_WITHOUT_RESULT = "call_without_result"  # OpenAI, Mistral
    MISSING_CALL_ID = "missing_call_id"  # OpenAI, Mistral
    DUPLICATE_CALL_ID = "duplicate_call_id"  # Mistral
    INVALID_ARGUMENTS = "invalid_arguments"  # Axolotl, templates (Gemma 4, Qwen 3.5, GLM 4, Nemotron 3)
    INVALID_TOOL_NAME = "invalid_tool_name"  # OpenAI, Mistral
    INVALID_WEIGHT = "invalid_weight"  # OpenAI, Mistral, Together
    NOT_ALTERNATING = "not_alternating"  # LLaMA-Factory, in ShareGPT
    ANTHROPIC_PARTS = "anthropic_parts"  # OpenAI, in OpenAI's shape

    @property
    def phrase(self) -> str:
        """A phrase for one conversation, such as `ends with the user`."""
        return self.format_count(1).removeprefix("1 ")

    def format_count(self, count: int) -> str:
        """Return a clause such as `1 ends with the user`, `2 end with the user`."""
        verb, _, rest = _PHRASES[self].partition(" ")
        return f"{count:,} {_SINGULARS[verb] if count == 1 else verb} {rest}"


RESULT_WARNINGS = (WarningKind.RESULT_WITHOUT_CALL, WarningKind.MISSING_CALL_ID)
"""The warnings about results of tools, which do not apply to a format without tool calls."""

_SINGULARS = {"begin": "begins", "call": "calls", "end": "ends", "have": "has"}
_PHRASES: Mapping[WarningKind, str] = {
    WarningKind.ENDS_WITH_USER: "end with the user",
    WarningKind.ENDS_WITH_TOOL_RESULT: "end with the result of a tool",
    WarningKind.NO_ASSISTANT: "have no turn of the assistant",
    WarningKind.BEGINS_WITH_ASSISTANT: "begin with the assistant",
    WarningKind.SYSTEM_NOT_FIRST: "have a system turn that is not the first",
    WarningKind.USER_AFTER_USER: "have two user turns in a row",
    WarningKind.ASSISTANT_AFTER_ASSISTANT: "have two assistant turns in a row",
    WarningKind.EMPTY_ASSISTANT: "have an assistant turn with neither text nor tool calls",
    WarningKind.UNKNOWN_ROLE: "have a role other than system, developer, user, assistant and tool",
    WarningKind.RESULT_WITHOUT_CALL: "have the result of a tool without its call",
    WarningKind.CALL_WITHOUT_RESULT: "have a tool call without its result",
    WarningKind.MISSING_CALL_ID: "have a tool call, or its result, without an id",
    WarningKind.DUPLICATE_CALL_ID: "have two tool calls with the same id in one turn",
    WarningKind.INVALID_ARGUMENTS: "have a tool call whose arguments are not a JSON object",
    WarningKind.INVALID_TOOL_NAME: "call a tool whose name is not 1 to 64 letters, digits, - and _",
    WarningKind.INVALID_WEIGHT: "have a weight other than 0 and 1",
    WarningKind.NOT_ALTERNATING: "have turns of the user or tools and of the assistant that do not alternate",
    WarningKind.ANTHROPIC_PARTS: "have content parts that only Anthropic's API has",
}


@dataclass(frozen=True, slots=True)
class TrainerWarning:
    """A reason why trainers refuse a conversation, and the number of the turn at which it is found."""

    kind: WarningKind
    turn: int


def check(conversation: Conversation) -> Iterator[TrainerWarning]:
    """Yield the reasons why trainers refuse a conversation; one kind may be found at several turns."""
    turns = conversation.turns
    yield from _check_order(turns)
    yield from _check_results(turns)
    for number, turn in enumerate(turns, start=1):
        for kind in _check_turn(turn):
            yield TrainerWarning(kind, number)


Check = Callable[[Sequence[Turn]], Iterator[TrainerWarning]]
"""A check that applies to some formats only."""


def check_alternation(turns: Sequence[Turn]) -> Iterator[TrainerWarning]:
    """Yield the first turn that LLaMA-Factory does not expect in ShareGPT, where the assistant answers every turn."""
    start = 1 if turns and turns[0].role == _SYSTEM else 0
    for position, turn in enumerate(turns[start:]):
        if turn.role not in ((_ASSISTANT,) if position % 2 else (_USER, _TOOL)):
            yield TrainerWarning(WarningKind.NOT_ALTERNATING, start + position + 1)
            return


def check_parts(turns: Sequence[Turn]) -> Iterator[TrainerWarning]:
    """Yield the turns with parts that OpenAI's API does not have, such as an image with a `source`."""
    for number, turn in enumerate(turns, start=1):
        repeated = field_block_types(turn)
        parts = [part for part in turn.current_parts or () if part_type(part) not in repeated]
        if any(is_anthropic_part(part) for part in parts):
            yield TrainerWarning(WarningKind.ANTHROPIC_PARTS, number)


def _is_plain_exchange(turns: Sequence[Turn]) -> bool:
    """Return whether user and assistant alternate, after a system turn or none, without tools, parts or weights.

    Such a conversation has no warnings. Most are like that, and this is much faster than the full check.
    """
    start = 1 if turns and turns[0].role == _SYSTEM else 0
    count = len(turns) - start
    if count == 0 or count % 2:
        return False
    expected_roles = _EXCHANGE * (count // 2)
    for turn, role in zip(turns[start:] if start else turns, expected_roles, strict=True):
        if (
            turn.role != role
            or turn.tool_calls
            or turn.parts
            or turn.metadata
            or not turn.content
            or turn.content.isspace()
        ):
            return False
    return True


def _role(turn: Turn) -> str:
    return _ROLE_ALIASES.get(turn.role, turn.role)


def _check_order(turns: Sequence[Turn]) -> Iterator[TrainerWarning]:
    roles = list(map(_role, turns))
    first_number = next((number for number, role in enumerate(roles, start=1) if role != _SYSTEM), None)
    for number, (previous, role) in enumerate(zip([None, *roles], roles, strict=False), start=1):
        if role == _SYSTEM and number > 1:
            yield TrainerWarning(WarningKind.SYSTEM_NOT_FIRST, number)
        elif role == _ASSISTANT and number == first_number:
            yield TrainerWarning(WarningKind.BEGINS_WITH_ASSISTANT, number)
        elif role == previous == _USER:
            yield TrainerWarning(WarningKind.USER_AFTER_USER, number)
        # After a call, the missing result is the fault.
        elif role == previous == _ASSISTANT and not turns[number - 2].tool_calls:
            yield TrainerWarning(WarningKind.ASSISTANT_AFTER_ASSISTANT, number)
    if _ASSISTANT not in roles:
        yield TrainerWarning(WarningKind.NO_ASSISTANT, len(turns))
    elif roles[-1] == _USER:
        yield TrainerWarning(WarningKind.ENDS_WITH_USER, len(turns))
    elif roles[-1] == _TOOL:
        yield TrainerWarning(WarningKind.ENDS_WITH_TOOL_RESULT, len(turns))


def _check_results(turns: Sequence[Turn]) -> Iterator[TrainerWarning]:
    """Yield results without a call, and calls without a result; the calls of the last turn need none."""
    waiting: list[ToolCall] = []
    number_of_calls = 0
    for number, turn in enumerate(turns, start=1):
        if _role(turn) == _TOOL:
            if (call := _call_of_result(turn, waiting)) is None:
                yield TrainerWarning(WarningKind.RESULT_WITHOUT_CALL, number)
            else:
                waiting.remove(call)
        else:
            if waiting:
                yield TrainerWarning(WarningKind.CALL_WITHOUT_RESULT, number_of_calls)
            waiting, number_of_calls = list(turn.tool_calls), number
    if waiting and number_of_calls < len(turns):
        yield TrainerWarning(WarningKind.CALL_WITHOUT_RESULT, number_of_calls)


def _call_of_result(result: Turn, waiting: Sequence[ToolCall]) -> ToolCall | None:
    """Return the call of a result: by its id, and if one of them has none, the first such call."""
    if result.tool_call_id is None:
        return waiting[0] if waiting else None
    by_id = (call for call in waiting if call.id == result.tool_call_id)
    return next(by_id, None) or next((call for call in waiting if call.id is None), None)


def _check_turn(turn: Turn) -> Iterator[WarningKind]:
    """Yield the faults of a turn that do not depend on other turns."""
    role = _role(turn)
    if role not in (_SYSTEM, _USER, _ASSISTANT, _TOOL):
        yield WarningKind.UNKNOWN_ROLE
    if role == _ASSISTANT and not turn.content.strip() and not turn.tool_calls and not turn.current_parts:
        yield WarningKind.EMPTY_ASSISTANT
    if role == _TOOL and turn.tool_call_id is None:
        yield WarningKind.MISSING_CALL_ID
    if turn.metadata and turn.metadata.get(_WEIGHT, 1) not in (0, 1):
        yield WarningKind.INVALID_WEIGHT
    if turn.tool_calls:
        yield from _check_calls(turn.tool_calls)


def _check_calls(calls: Sequence[ToolCall]) -> Iterator[WarningKind]:
    ids = [call.id for call in calls if call.id is not None]
    if len(ids) < len(calls):
        yield WarningKind.MISSING_CALL_ID
    if len(set(ids)) < len(ids):
        yield WarningKind.DUPLICATE_CALL_ID
    if not all(is_json_object(call.arguments) for call in calls):
        yield WarningKind.INVALID_ARGUMENTS
    if not all(_TOOL_NAME.fullmatch(call.name) for call in calls):
        yield WarningKind.INVALID_TOOL_NAME


@dataclass(frozen=True, slots=True)
class WarningLocation:
    """A turn of a conversation in a file, which has a line, or in the library, which has an id."""

    turn: int
    line: int | None = None
    conversation_id: str | None = None
    file: str | None = None
    """The file that has the line, if there are several."""

    def __str__(self) -> str:
        if self.line is not None:
            return f"{'' if self.file is None else f'{self.file} '}line {self.line:,}, turn {self.turn}"
        if self.conversation_id is not None:
            return f"conversation {quoted_id(self.conversation_id)}, turn {self.turn}"
        return f"turn {self.turn}"


@dataclass(frozen=True, slots=True)
class WarningCount:
    """How many conversations trainers would refuse for one reason, and the first of them."""

    kind: WarningKind
    count: int
    first: WarningLocation

    def __str__(self) -> str:
        return f"{self.kind.format_count(self.count)} (first: {self.first})"


class TrainerReport:
    """The warnings about many conversations, counted by kind. Its size does not grow with their number."""

    def __init__(self, *, checks: Sequence[Check] = (), ignored: Collection[WarningKind] = ()) -> None:
        """Create a report that also applies `checks`, and leaves out the `ignored` kinds of warnings."""
        self._checks = checks
        self._ignored = ignored
        self.refused = 0
        """How many conversations have at least one warning."""
        self._counts: dict[WarningKind, int] = {}
        self._first: dict[WarningKind, WarningLocation] = {}  # in the order in which they were found

    def add(
        self, conversation: Conversation, *, line: int | None = None, file: str | None = None
    ) -> Collection[WarningKind]:
        """Check a conversation, and return the warnings about it.

        It is located by its line, in a `file` if there are several; otherwise by its id.
        """
        if _is_plain_exchange(conversation.turns):
            return ()
        turns: dict[WarningKind, int] = {}
        further = (warning for further_check in self._checks for warning in further_check(conversation.turns))
        for warning in sorted(chain(check(conversation), further), key=lambda each: each.turn):
            if warning.kind not in self._ignored:
                turns.setdefault(warning.kind, warning.turn)
        for kind, turn in turns.items():
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._first.setdefault(kind, WarningLocation(turn, line, conversation.id, file))
        self.refused += bool(turns)
        return turns

    @property
    def counts(self) -> Sequence[WarningCount]:
        """The counts, largest first."""
        counts = [WarningCount(kind, count, self._first[kind]) for kind, count in self._counts.items()]
        return sorted(counts, key=lambda each: -each.count)

    def refusal(self, outcome: str, *, path: str | None = None) -> RefusedByTrainers:
        """Return the error of a strict import or export; `outcome` says, for example, that nothing was imported."""
        counts, first = self.counts, next(iter(self._first.values()))
        where = str(first) if path is None or first.file is not None else f"{path} {first}"
        location = asdict(first)
        location["path"] = location.pop("file") or path
        return RefusedByTrainers(
            f"{where}: {format_warnings(self.refused, counts)}; {outcome}",
            **{name: value for name, value in location.items() if value is not None},
            conversations=self.refused,
            warnings={each.kind.value: each.count for each in counts},
        )


def format_warnings(refused: int, counts: Sequence[WarningCount]) -> str:
    """Return a sentence without its full stop, such as `trainers would refuse 3 conversations: 2 end with the user`."""
    return f"trainers would refuse {refused:,} conversation{'' if refused == 1 else 's'}: {', '.join(map(str, counts))}"
