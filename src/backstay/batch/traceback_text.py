"""The traceback of an exception as files, lines and function names, without values or source code."""

import os
from itertools import islice
from pathlib import Path
from traceback import walk_tb
from types import CodeType, TracebackType

_MAX_CHARACTERS = 4_000  # of a stored traceback
_MAX_FRAMES = 10_000  # that are walked
_OWN_FOLDER = str(Path(__file__).parent) + os.sep


def format_traceback(error: BaseException) -> str | None:
    """Return the frames of an exception, the innermost last, as one line each; None when there are none.

    The frames of Backstay that made the call are left out. If not all frames fit, the innermost are kept.
    """
    folder = _working_folder()
    lines: list[str] = []
    size, omitted = 0, 0
    frames = _frames(error.__traceback__)
    for code, number in reversed(frames):
        line = f"{code.co_filename.removeprefix(folder)}:{number} in {code.co_qualname}"
        line = "".join(character if character.isprintable() else "?" for character in line)
        size += len(line) + 1
        if size > _MAX_CHARACTERS:
            omitted = len(frames) - len(lines)
            break
        lines.append(line)
    if omitted:
        lines.append(f"({omitted:,} outer frames left out)")
    return "\n".join(reversed(lines)) or None


def _frames(traceback: TracebackType | None) -> list[tuple[CodeType, int]]:
    frames: list[tuple[CodeType, int]] = []
    for frame, number in islice(walk_tb(traceback), _MAX_FRAMES):
        code = frame.f_code
        if frames or not code.co_filename.startswith(_OWN_FOLDER):
            frames.append((code, number or code.co_firstlineno))
    return frames


def _working_folder() -> str:
    try:
        return str(Path.cwd()) + os.sep
    except OSError:
        return ""  # it was removed
