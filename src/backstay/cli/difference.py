"""The difference between two versions of a conversation as lines for people."""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from backstay.cli.output import is_terminal
from backstay.cli.text import format_count, printable
from backstay.library.difference import Segment, SegmentKind, TurnChange, abridge, is_changed

if TYPE_CHECKING:
    from backstay.library.difference import TurnDifference
    from backstay.library.edits import VersionDifference

_COLORS = {SegmentKind.REMOVED: ("\x1b[31m", "\x1b[0m"), SegmentKind.ADDED: ("\x1b[32m", "\x1b[0m")}
_MARKS = {SegmentKind.REMOVED: ("[-", "-]"), SegmentKind.ADDED: ("{+", "+}")}


def format_difference(versions: "VersionDifference") -> Iterator[str]:
    """Yield the lines of a difference: the parts that differ, and how many turns are the same."""
    marks = _COLORS if is_terminal(1) and "NO_COLOR" not in os.environ else _MARKS
    difference = versions.difference
    yield f"version {versions.before} → version {versions.after}"
    for name, segments in (("topic", difference.topic), ("persona", difference.persona)):
        if is_changed(segments):
            yield from _block(f"{name}, changed", segments, marks)
    same = 0
    for turn in difference.turns:
        if turn.change is TurnChange.SAME:
            same += 1
        else:
            yield from _block(_heading(turn), turn.text, marks)
    if same:
        yield ""
        yield f"{format_count(same, 'turn')} unchanged"


def _heading(turn: "TurnDifference") -> str:
    """Return the number, the role and the change of a turn: `2 assistant, changed (role)`."""
    number = turn.after_number if turn.after_number is not None else turn.before_number
    role = printable(turn.after.role if turn.after is not None else turn.before.role if turn.before is not None else "")
    change = f"moved from {turn.before_number}" if turn.change is TurnChange.MOVED else str(turn.change)
    fields = ", ".join(map(printable, turn.fields_changed))
    return f"{number} {role}, {change}{f' ({fields})' if fields else ''}"


def _block(heading: str, segments: Sequence[Segment], marks: dict[SegmentKind, tuple[str, str]]) -> list[str]:
    text = "".join(_piece(segment, marks) for segment in abridge(segments))
    return ["", f"{heading}:", *(f"  {line}" for line in text.split("\n"))]


def _piece(segment: Segment, marks: dict[SegmentKind, tuple[str, str]]) -> str:
    """Return a piece with its marks around each line, since a terminal's pager shows line by line."""
    lines = [printable(line.expandtabs(4)) for line in segment.text.split("\n")]
    if segment.kind is SegmentKind.SAME:
        return "\n".join(lines)
    if segment.text.isspace():
        lines = [*(f"{line}⏎" for line in lines[:-1]), lines[-1]]
    start, end = marks[segment.kind]
    return "\n".join(f"{start}{line}{end}" if line else "" for line in lines)
