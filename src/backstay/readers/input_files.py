"""The files of one input: one file, those of a folder, or those that a pattern matches."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from backstay.errors import InputNotFound
from backstay.readers.bad_rows import REASONS_SUFFIX
from backstay.readers.file_kind import SUFFIXES, FileKind, RowFormat
from backstay.readers.folder_walk import files_in_folder, files_of_pattern, without_repeats
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_notes import InputNotes

# What the tools for data sets write next to the data.
_METADATA_NAMES = frozenset({"dataset_info.json", "dataset_infos.json", "state.json", "dataset_dict.json"})
_METADATA_STEMS = frozenset({"readme", "license", "licence", "requirements"})
_MAX_NAMED_FILES = 3
_NUMBER = re.compile(r"(\d+)")


def find_files(source: Path, notes: InputNotes, *, suffixes: Sequence[str] = SUFFIXES) -> Sequence[Path]:
    """Return the files of an input, in the order of their names, where numbers count by their value.

    A name that exists is no pattern. In a folder, only files count whose names end in one of the `suffixes`. Hidden
    files, descriptions of a data set and quarantines of bad rows are left out, which is noted except for hidden files.
    Links to folders are followed, and a file with several paths is found once.

    Raises InputNotFound if a pattern matches nothing, InputUnreadable if a folder has no such file or cannot be read.
    """
    errors = InputErrors.for_path(source)
    is_folder = source.is_dir()
    if is_folder:
        paths = files_in_folder(source)
    elif glob.has_magic(str(source)) and not source.exists():
        paths = files_of_pattern(source)
    else:
        return [source]
    found, left_out = list[Path](), list[Path]()
    for path in sorted(paths, key=_natural_key):
        is_data = not _is_metadata(path) and (not is_folder or FileKind.from_name(path.name).suffix in suffixes)
        (found if is_data else left_out).append(path)
    others = _format_left_out(left_out)
    if not found and is_folder:
        raise errors.unreadable(f"no file in this folder ends in one of {' '.join(suffixes)}{others}")
    if not found:
        raise InputNotFound(f"{errors.path}: no file matches this pattern{others}", path=errors.path)
    found = sorted(without_repeats(found), key=_natural_key)
    notes.add(errors.path, ("1 file" if len(found) == 1 else f"{len(found):,} files") + others)
    return found


def _format_left_out(paths: Sequence[Path]) -> str:
    if not paths:
        return ""
    names = [InputErrors.for_path(Path(path.name)).name for path in paths[:_MAX_NAMED_FILES]]
    more = [f"{len(paths) - len(names):,} more"] if len(paths) > len(names) else []
    return f"; left out: {', '.join(names + more)}"


def _is_metadata(path: Path) -> bool:
    name = path.name.lower()
    is_document = FileKind.from_name(name).format in (None, RowFormat.TEXT)
    is_description = is_document and name.partition(".")[0] in _METADATA_STEMS
    return name in _METADATA_NAMES or is_description or name.endswith(".md") or _is_quarantine(path)


def _is_quarantine(path: Path) -> bool:
    """Return whether a file is a quarantine, which has a file of reasons next to it, or is that file of reasons."""
    quarantine_name = path.name.removesuffix(REASONS_SUFFIX)
    is_reasons = quarantine_name != path.name and FileKind.from_name(quarantine_name).format is not None
    return is_reasons or Path(f"{path}{REASONS_SUFFIX}").is_file()


def _natural_key(path: Path) -> list[tuple[int, int, str]]:
    # Numbers come before text, as digits do before letters.
    parts = _NUMBER.split(str(path).casefold())
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part]
