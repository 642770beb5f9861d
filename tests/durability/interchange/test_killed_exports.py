"""An export into a folder is killed at each rename or sync: no file is incomplete, and the same export completes it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from support.faults import strace
from support.harness import requirements
from support.harness.sampling import FULL

_NAMES = ("README.md", "test.jsonl", "train.jsonl")
_CALLS = ("rename", "fsync") if FULL else ("rename",)

Contents = Mapping[str, bytes]


@pytest.fixture(scope="module", autouse=True)
def _strace() -> None:
    requirements.injected_faults()


@dataclass(frozen=True, slots=True)
class _Library:
    database: Path
    old: Path
    """An export of the library as it was before."""
    new: Path


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> _Library:
    """A library that has grown since its last export."""
    folder = tmp_path_factory.mktemp("library")
    library = _Library(folder / "backstay.db", folder / "old" / "dataset", folder / "new" / "dataset")
    for number, dataset in enumerate((library.old, library.new)):
        rows = [_row(f"c{number}-{index}") for index in range(20)]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert _backstay(library.database, "conversations", "import", str(folder / "rows.jsonl")) == 0
        dataset.parent.mkdir()
        assert _export(library.database, dataset) == 0
    return library


@pytest.mark.parametrize("call", _CALLS)
def test_a_killed_export_into_a_folder_is_completed_by_the_next(library, tmp_path, call):
    """After a kill, each file is old or new, the card new only if all others are; the same export then completes."""
    old, new = _contents(library.old), _contents(library.new)
    replaced = set()

    for dataset in _killed_exports(library, tmp_path, call, lambda path: shutil.copytree(library.old, path)):
        left = {name: data for name, data in _contents(dataset).items() if name in _NAMES}
        assert all(data in (old[name], new[name]) for name, data in left.items())
        assert left["README.md"] == old["README.md"] or left == new
        replaced.add(sum(left[name] == new[name] for name in _NAMES))
        _complete(library, dataset)

    assert replaced >= (set(range(len(_NAMES))) if call == "rename" else {0})


@pytest.mark.parametrize("call", _CALLS)
def test_a_killed_export_into_a_new_folder_leaves_none(library, tmp_path, call):
    """After a kill, the folder is absent or complete; the same export then completes, and removes temporary files."""
    was_absent = False

    for dataset in _killed_exports(library, tmp_path, call, lambda path: path.parent.mkdir(parents=True)):
        was_absent |= not dataset.exists()
        assert not dataset.exists() or _contents(dataset) == _contents(library.new)
        _complete(library, dataset)

    assert was_absent


def _killed_exports(library: _Library, folder: Path, call: str, arrange: Callable[[Path], object]) -> Iterator[Path]:
    """Yield the target of an export that was killed at the first such call, then at the second, until one survives."""
    for number in count(1):
        dataset = folder / str(number) / "dataset"
        arrange(dataset)
        under = strace.injecting("signal=SIGKILL", call, str(number), None, folder / "log")
        if _export(library.database, dataset, under=under) == 0:
            return
        yield dataset


def _complete(library: _Library, dataset: Path) -> None:
    """Export again, and check that the files are the new ones and nothing else is left."""
    assert _export(library.database, dataset) == 0
    assert _contents(dataset) == _contents(library.new)
    assert [path.name for path in dataset.parent.iterdir()] == ["dataset"]


def _export(database: Path, dataset: Path, *, under: Sequence[str] = ()) -> int:
    options = ("--split", "train=0.5,test=0.5", "--seed", "7", "--card", "--license", "mit", "-o", str(dataset))
    return _backstay(database, "conversations", "export", *options, under=under)


def _backstay(database: Path, *words: str, under: Sequence[str] = ()) -> int:
    command = [*under, sys.executable, "-m", "backstay", "--database", str(database), *words]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BACKSTAY")}
    return subprocess.run(command, capture_output=True, check=False, timeout=120, env=environment).returncode


def _contents(folder: Path) -> Contents:
    """Return the contents of a folder's files, hidden ones included; a folder in it has none."""
    return {path.name: path.read_bytes() if path.is_file() else b"" for path in folder.iterdir()}


def _row(name: str) -> dict[str, object]:
    turns = [{"role": "user", "content": "What is the weather?"}, {"role": "assistant", "content": f"Rain, {name}."}]
    return {"id": name, "messages": turns}
