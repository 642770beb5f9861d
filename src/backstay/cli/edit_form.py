"""A conversation as a text to edit, which holds its topic, persona and turns exactly.

Each part begins with a line such as `=== topic`, `=== 2 assistant` (the second turn) or `=== user` (a new turn); the
lines up to the next one are its text. The marker has as many `=` as it takes for no line of a text to begin with it.
"""

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from backstay.errors import InputUnreadable, InvalidConversation
from backstay.library.conversation import Conversation, check_turn
from backstay.library.display import other_fields
from backstay.library.edit_plan import ROLES, Edit
from backstay.library.turn import Turn

_TOPIC, _PERSONA, _END = "topic", "persona", "end"
_ERROR = "# Error: "
_HEADING = re.compile(r'(?:(?P<number>\d+) +)?(?P<role>"(?:[^"\\]|\\.)*"|[^\s"#]\S*)(?:\s+#.*)?\s*')
_PLAIN_ROLE = re.compile(r'[^\s"#\d][^\s"]*')
_VERSION = re.compile(r"^#.* Version: ([0-9a-f]{64})$", re.MULTILINE)
_HELP = """\
# Change the texts, save the file and close the editor. An empty or unchanged file stores nothing.
# "{marker} 2 assistant" begins the text of the second turn: change the role, move the block, or remove it.
# "{marker} user" begins a new turn. Remove "{marker} topic" or "{marker} persona" with its text to have none.
# What follows a # in such a line is not shown here and stays with its turn. Version: {digest}
"""


def to_form(conversation: Conversation) -> str:
    """Return the text to edit."""
    texts = [conversation.topic, conversation.persona, *(turn.content for turn in conversation.turns)]
    marker = _marker([text for text in texts if text is not None])
    lines = [_HELP.format(marker=marker, digest=conversation.digest())]
    for name, text in ((_TOPIC, conversation.topic), (_PERSONA, conversation.persona)):
        if text is not None:
            lines.append(f"{marker} {name}\n{text}\n")
    for number, turn in enumerate(conversation.turns, start=1):
        role = turn.role if _PLAIN_ROLE.fullmatch(turn.role) else json.dumps(turn.role)
        kept = ", ".join(other_fields(turn))
        lines.append(f"{marker} {number} {role}{'  # ' + kept if kept else ''}\n{turn.content}\n")
    return f"{''.join(lines)}{marker} {_END}\n"


def parse_form(text: str, conversation: Conversation) -> Edit:
    """Return the edit that a text makes of the conversation that it was made from.

    Raises:
        InputUnreadable: the text is no such form, or a turn cannot be stored. The message names the line.
    """
    topic = persona = None
    turns: list[Turn] = []
    seen: set[str] = set()
    for block in _blocks(text.removeprefix("\ufeff")):
        name = block.role if block.number is None and block.role in (_TOPIC, _PERSONA) else str(block.number)
        if name in seen and name != "None":
            raise _error(block.line, f"{'turn ' if name.isdigit() else 'the '}{name} is there twice")
        seen.add(name)
        if name == _TOPIC:
            topic = block.text
        elif name == _PERSONA:
            persona = block.text
        else:
            turns.append(_turn(block, conversation.turns, len(turns) + 1))
    if not turns:
        raise _error(1, "the conversation has no turns")
    return Edit(turns=turns, topic=topic, persona=persona)


def digest_in_form(text: str) -> str | None:
    """Return the digest of the conversation that a form was made from; None if the text is no form."""
    lines = itertools.takewhile(lambda line: not line.strip() or line.startswith("#"), text.splitlines())
    match = _VERSION.search("\n".join(lines))
    return match[1] if match is not None else None


def with_error(text: str, error: InputUnreadable) -> str:
    """Return a form with an error as its first line, in place of an earlier one; its line number counts that line."""
    had_error = text.startswith(_ERROR)
    rest = text.partition("\n")[2] if had_error else text
    line = error.context.get("line", 0)
    shifted = error.message if had_error else error.message.replace(f"Line {line}:", f"Line {line + 1}:", 1)
    return f"{_ERROR}{shifted}\n{rest}"


@dataclass(frozen=True, slots=True)
class _FormPart:
    line: int
    number: int | None
    role: str
    text: str


def _blocks(text: str) -> Iterator[_FormPart]:
    lines = text.split("\n")
    start = next((at for at, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    match = re.match(r"={3,}(?= )", lines[start]) if start < len(lines) else None
    if match is None:
        raise _error(start + 1, "a line that begins a turn, such as === user, is expected here")
    marker = match[0] + " "
    headings = [at for at in range(start, len(lines)) if lines[at].startswith(marker)]
    for at, end in zip(headings, [*headings[1:], None], strict=True):
        heading = lines[at].removeprefix(marker).strip()
        if end is None:
            if heading != _END:
                raise _error(len(lines), f"the line {marker}{_END} is missing, so the file may be incomplete")
            return
        if heading == _END:
            raise _error(end + 1, f"there is more after the line {marker}{_END}")
        yield _parse_block(at + 1, heading, "\n".join(lines[at + 1 : end]))


def _parse_block(line: int, heading: str, text: str) -> _FormPart:
    match = _HEADING.fullmatch(heading)
    if match is None or match["role"].isdigit():
        raise _error(line, "a role is expected here, such as user, or a turn's number and its role")
    role = match["role"]
    if role.startswith('"'):
        try:
            role = json.loads(role)
        except ValueError as error:
            raise _error(line, "the quoted role is not valid JSON") from error
    return _FormPart(line, int(match["number"]) if match["number"] is not None else None, role, text)


def _turn(block: _FormPart, stored: Sequence[Turn], number: int) -> Turn:
    if block.number is None:
        turn = Turn(block.role, block.text)
    elif not 1 <= block.number <= len(stored):
        raise _error(block.line, f"there is no turn {block.number}; a new turn has no number")
    else:
        turn = replace(stored[block.number - 1], role=block.role, content=block.text)
        if turn == stored[block.number - 1]:
            return turn
    if turn.role not in {*ROLES, *(each.role for each in stored)}:
        raise _error(
            block.line, f"no format knows the role {turn.role[:50]!r}; use {', '.join(ROLES[:-1])} or {ROLES[-1]}"
        )
    try:
        check_turn(turn, number)
    except InvalidConversation as error:
        raise _error(block.line, error.message) from error
    return turn


def _marker(texts: Sequence[str]) -> str:
    runs = (len(match[1]) for text in texts for match in re.finditer(r"(?:^|\n)(=+) ", text))
    return "=" * max(3, max(runs, default=0) + 1)


def _error(line: int, fault: str) -> InputUnreadable:
    return InputUnreadable(f"Line {line}: {fault}", line=line)
