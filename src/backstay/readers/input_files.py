"""The files of one input: one file, those of a folder, or those that a pattern matches."""

import glob
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from backstay.errors import InputNotFound
from backstay.readers.file_kind import SUFFIXES, FileKind
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_notes import InputNotes

# What the tools for data sets write next to the data.
_METADATA_NAMES = frozenset({"dataset_info.json", "dataset_infos.json", "state.json", "dataset_dict.json"})
_METADATA_STEMS = frozenset({"readme", "license", "licence", "requirements"})
_MAX_NAMED_FILES = 3
_NUMBER = re.compile(r"(\d+)")


def find_files(source: Path, notes: InputNotes, *, suffixes: Sequence[str] = SUFFIXES) -> Sequence[Path]:
    """Return the files of an input, in the order of their names, where numbers count by their value.

    A name that exists is no pattern. In folders, files count whose names end in one of the `suffixes`; hidden ones and
    descriptions of a data set do not. What is left out is noted, except hidden files.

    Raises InputNotFound if a pattern matches nothing, InputUnreadable if a folder has no such file.
    """
    errors = InputErrors.for_path(source)
    is_folder = source.is_dir()
    if is_folder:
        paths = [path for path in source.rglob("*") if not _is_hidden(path.relative_to(source).parts)]
    elif glob.has_magic(str(source)) and not source.exists():
        paths = [Path(match) for match in glob.glob(str(source), recursive=True)]  # noqa: PTH207 - keeps it as given
    else:
        return [source]
    found, left_out = list[Path](), list[Path]()
    for path in sorted(filter(Path.is_file, paths), key=_natural_key):
        is_data = not _is_metadata(path) and (not is_folder or FileKind.from_name(path.name).suffix in suffixes)
        (found if is_data else left_out).append(path)
    others = _format_left_out(left_out)
    if not found and is_folder:
        raise errors.unreadable(f"no file in this folder ends in one of {' '.join(suffixes)}{others}")
    if not found:
        raise InputNotFound(f"{errors.path}: no file matches this pattern{others}", path=errors.path)
    notes.add(errors.path, ("1 file" if len(found) == 1 else f"{len(found):,} files") + others)
    return found


def _format_left_out(paths: Sequence[Path]) -> str:
    if not paths:
        return ""
    names = [InputErrors.for_path(Path(path.name)).name for path in paths[:_MAX_NAMED_FILES]]
    more = [f"{len(paths) - len(names):,} more"] if len(paths) > len(names) else []
    return f"; left out: {', '.join(names + more)}"


def _is_hidden(parts: Iterable[str]) -> bool:
    return any(part.startswith(".") for part in parts)


def _is_metadata(path: Path) -> bool:
    name = path.name.lower()
    return name in _METADATA_NAMES or name.partition(".")[0] in _METADATA_STEMS or name.endswith(".md")


def _natural_key(path: Path) -> list[tuple[int, int, str]]:
    # Numbers come before text, as digits do before letters.
    parts = _NUMBER.split(str(path).casefold())
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part]
