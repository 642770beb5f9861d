"""Where an exception came from: files, lines and names of functions; never a value, never a line of code."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import CodeType, TracebackType

_CAP = 4_000  # characters of a traceback that are kept
_MOST_FRAMES = 10_000  # that are walked
_OWN_FOLDER = str(Path(__file__).parent) + os.sep


def format_frames(error: BaseException) -> str | None:
    """Return the frames of an exception, the innermost last, as one line each; None when there are none.

    The frames of Backstay that made the call are left out. When they do not all fit, the innermost are kept.
    """
    folder = _working_folder()
    lines: list[str] = []
    size, left_out = 0, 0
    frames = _frames(error.__traceback__)
    for code, number in reversed(frames):
        line = f"{_shown_path(code.co_filename, folder)}:{number} in {code.co_qualname}"
        line = "".join(character if character.isprintable() else "?" for character in line)
        size += len(line) + 1
        if size > _CAP:
            left_out = len(frames) - len(lines)
            break
        lines.append(line)
    if left_out:
        lines.append(f"({left_out:,} outer frames left out)")
    return "\n".join(reversed(lines)) or None


def _frames(traceback: TracebackType | None) -> list[tuple[CodeType, int]]:
    frames: list[tuple[CodeType, int]] = []
    for entry in islice(_entries(traceback), _MOST_FRAMES):
        code = entry.tb_frame.f_code
        if frames or not code.co_filename.startswith(_OWN_FOLDER):
            frames.append((code, entry.tb_lineno or code.co_firstlineno))
    return frames


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _working_folder() -> str | None:
    try:
        return str(Path.cwd()) + os.sep
    except OSError:
        return None  # it was removed


def _shown_path(path: str, folder: str | None) -> str:
    return path.removeprefix(folder) if folder is not None else path
