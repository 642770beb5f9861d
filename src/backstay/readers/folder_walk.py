"""The files of a folder, and of a pattern with `**`. Links are followed, and each folder is read once."""

import glob
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from backstay.readers.input_errors import InputErrors


def files_in_folder(folder: Path) -> list[Path]:
    """Return the files in a folder and its subfolders, without hidden ones. Raises InputUnreadable."""
    with _translate_errors():
        paths = (path for inner in _walk(folder) for path in inner.iterdir())
        return [path for path in paths if not path.name.startswith(".") and path.is_file()]


def files_of_pattern(pattern: Path) -> list[Path]:
    """Return the files that a pattern matches. Raises InputUnreadable if a folder that `**` matches cannot be read."""
    with _translate_errors():
        return [path for path in _expand(pattern) if path.is_file()]


def without_repeats(files: Iterable[Path]) -> list[Path]:
    """Return one path of each file, preferably one that is no link."""
    by_real_path: dict[str, Path] = {}
    for path in sorted(files, key=Path.is_symlink):
        by_real_path.setdefault(os.path.realpath(path), path)
    return list(by_real_path.values())


def _expand(pattern: Path) -> Iterator[Path]:
    # `glob` itself would repeat `**` through a link to a folder above, and skip folders that cannot be read.
    if "**" not in pattern.parts:
        yield from sorted(map(Path, glob.glob(str(pattern))))  # noqa: PTH207 - keeps it as given
        return
    index = pattern.parts.index("**")
    rest = pattern.parts[index + 1 :] or ("*",)
    for folder in _expand(Path(*pattern.parts[:index])):
        for inner in _walk(folder) if folder.is_dir() else ():
            yield from _expand(Path(glob.escape(str(inner)), *rest))


def _walk(folder: Path) -> Iterator[Path]:
    """Yield a folder and its subfolders, except hidden ones, each once. Links are followed last. Raises OSError."""
    seen, waiting = set[str](), [folder]
    while waiting:
        for name, inner, _ in os.walk(waiting.pop(0), onerror=_raise):
            real = os.path.realpath(name)
            if real in seen:
                inner.clear()
                continue
            seen.add(real)
            inner[:] = sorted(child for child in inner if not child.startswith("."))
            waiting += [path for path in (Path(name, child) for child in inner) if path.is_symlink()]
            yield Path(name)


def _raise(error: OSError) -> None:
    raise error


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputErrors.for_path(Path(error.filename)).from_os_error(error) from error
