"""Conversations that trainers accept, and others with one fault each, for which trainers refuse them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from backstay.library.conversation import Conversation
from backstay.library.trainer_checks import WarningKind
from backstay.library.turn import ToolCall, Turn

SYSTEM, USER, ANSWER = Turn("system", "s"), Turn("user", "q"), Turn("assistant", "a")
_CALL = ToolCall("call00001", "weather", '{"place": "Oslo"}')
_OTHER_CALL = ToolCall("call00002", "weather", "{}")


def calls(*others: ToolCall, **changes: Any) -> Turn:
    """Return a turn with a call, with these changes, and others."""
    return Turn("assistant", "", tool_calls=[replace(_CALL, **changes), *others])


def result(call_id: str | None = _CALL.id) -> Turn:
    """Return the result of a call."""
    return Turn("tool", "rain", tool_call_id=call_id)


ACCEPTED: Sequence[Sequence[Turn]] = (
    [USER, ANSWER],
    [SYSTEM, USER, ANSWER, USER, ANSWER],
    [Turn("developer", "d"), USER, ANSWER],
    [USER, calls(), result(), ANSWER],
    [USER, calls(_OTHER_CALL), result("call00002"), result(), ANSWER],
    [USER, calls(), result(), calls(), result(), ANSWER],
    [USER, calls()],
    [USER, calls(), Turn("tool", "", tool_call_id=_CALL.id), ANSWER],
    [USER, calls(), result(), USER, ANSWER],
    [USER, Turn("assistant", "", parts=[{"type": "audio"}])],
    [USER, Turn("assistant", "a", metadata={"weight": 0})],
)


@dataclass(frozen=True)
class RefusedConversation:
    """A conversation with one fault, and the number of the turn at which it is found."""

    kind: WarningKind
    number: int
    turns: Sequence[Turn]

    @property
    def conversation(self) -> Conversation:
        return Conversation(self.turns)


REFUSED = (
    RefusedConversation(WarningKind.ENDS_WITH_USER, 3, [USER, ANSWER, USER]),
    RefusedConversation(WarningKind.ENDS_WITH_TOOL_RESULT, 3, [USER, calls(), result()]),
    RefusedConversation(WarningKind.NO_ASSISTANT, 1, [USER]),
    RefusedConversation(WarningKind.BEGINS_WITH_ASSISTANT, 1, [ANSWER, USER, ANSWER]),
    RefusedConversation(WarningKind.BEGINS_WITH_ASSISTANT, 2, [SYSTEM, ANSWER]),
    RefusedConversation(WarningKind.SYSTEM_NOT_FIRST, 3, [USER, ANSWER, SYSTEM, USER, ANSWER]),
    RefusedConversation(WarningKind.SYSTEM_NOT_FIRST, 2, [SYSTEM, SYSTEM, USER, ANSWER]),
    RefusedConversation(WarningKind.SYSTEM_NOT_FIRST, 2, [USER, Turn("developer", "d"), ANSWER]),
    RefusedConversation(WarningKind.USER_AFTER_USER, 2, [USER, USER, ANSWER]),
    RefusedConversation(WarningKind.ASSISTANT_AFTER_ASSISTANT, 3, [USER, ANSWER, ANSWER]),
    RefusedConversation(WarningKind.EMPTY_ASSISTANT, 2, [USER, Turn("assistant", "", reasoning="hm")]),
    RefusedConversation(WarningKind.UNKNOWN_ROLE, 1, [Turn("critic", "x"), USER, ANSWER]),
    RefusedConversation(WarningKind.RESULT_WITHOUT_CALL, 3, [USER, ANSWER, result(), ANSWER]),
    RefusedConversation(WarningKind.RESULT_WITHOUT_CALL, 4, [USER, calls(), result(), result(), ANSWER]),
    RefusedConversation(WarningKind.CALL_WITHOUT_RESULT, 2, [USER, calls(), ANSWER]),
    RefusedConversation(WarningKind.CALL_WITHOUT_RESULT, 2, [USER, calls(), USER, ANSWER]),
    RefusedConversation(WarningKind.CALL_WITHOUT_RESULT, 2, [USER, calls(_OTHER_CALL), result(), ANSWER]),
    RefusedConversation(WarningKind.MISSING_CALL_ID, 2, [USER, calls(id=None), result(), ANSWER]),
    RefusedConversation(WarningKind.MISSING_CALL_ID, 3, [USER, calls(), result(None), ANSWER]),
    RefusedConversation(WarningKind.DUPLICATE_CALL_ID, 2, [USER, calls(_CALL), result(), result(), ANSWER]),
    RefusedConversation(WarningKind.INVALID_ARGUMENTS, 2, [USER, calls(arguments="[1]"), result(), ANSWER]),
    RefusedConversation(WarningKind.INVALID_ARGUMENTS, 2, [USER, calls(arguments="oslo"), result(), ANSWER]),
    RefusedConversation(WarningKind.INVALID_TOOL_NAME, 2, [USER, calls(name="weather.now"), result(), ANSWER]),
    RefusedConversation(WarningKind.INVALID_WEIGHT, 2, [USER, Turn("assistant", "a", metadata={"weight": 0.5})]),
)
