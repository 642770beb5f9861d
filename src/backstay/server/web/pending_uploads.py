"""Files that are to become jobs, kept from the page where they were dropped to the one where the job is started."""

import asyncio
import os
import secrets
import shutil
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from backstay.errors import BackstayError
from backstay.readers import InputRow, read_rows
from backstay.server.problems import Problem
from backstay.server.temporary_folder import TemporaryFolder

_MOST = 20
_SECONDS = 3_600.0
_FIRST_ROWS = 3
_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class PendingUpload:
    """A file that was dropped, its columns and its first rows."""

    id: str
    path: Path
    name: str
    columns: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    size: int
    kept_at: float
    """By a monotonic clock."""

    @property
    def job_id(self) -> str:
        """What the job may be called: as the file is."""
        return PurePosixPath(self.name).stem[:200] or "batch"


class PendingUploads:
    """Keeps the latest ones, for an hour at most and up to `most_bytes` together."""

    def __init__(self, folder: TemporaryFolder, *, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._files: dict[str, PendingUpload] = {}

    async def keep(self, source: Any, name: str, ending: str) -> PendingUpload:
        """Keep what a file object holds.

        Raises:
            InputError: it is of no use as it is.
        """
        return await asyncio.to_thread(self._keep, source, name, ending)

    def find(self, kept_id: str) -> PendingUpload:
        """Return a file. Raises Problem when it is not there any more."""
        kept = self._files.get(kept_id)
        if kept is None or not kept.path.is_file():  # a cleaner of temporary files may have removed it
            raise Problem(404, "not_found", "This file is not kept any more: choose it again")
        return kept

    def _keep(self, source: Any, name: str, ending: str) -> PendingUpload:
        self._make_room(source.seek(0, os.SEEK_END))
        kept_id = secrets.token_urlsafe(16)
        path = self._folder.path() / f"{kept_id}{ending}"
        source.seek(0)
        try:
            with path.open("xb") as file:
                shutil.copyfileobj(source, file, _BLOCK)
            rows = first_rows(path, name)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        columns = list(dict.fromkeys(column for row in rows for column in row))
        size = path.stat().st_size
        kept = self._files[kept_id] = PendingUpload(kept_id, path, name, columns, rows, size, time.monotonic())
        return kept

    def _make_room(self, size: int) -> None:
        """Remove files that were kept for too long, and the oldest until there is room for one of that size."""
        oldest = sorted(self._files.values(), key=lambda kept: kept.kept_at)
        count, total = len(oldest), size + sum(kept.size for kept in oldest)
        for kept in oldest:
            if count >= _MOST or total > self._most_bytes or time.monotonic() - kept.kept_at > _SECONDS:
                count, total = count - 1, total - kept.size
                self._files.pop(kept.id, None)
                kept.path.unlink(missing_ok=True)


def first_rows(path: Path, name: str) -> list[Mapping[str, Any]]:
    """Return the first rows of a file. Raises InputError, which calls it by the name that the user knows."""
    rows: Generator[InputRow, None, None] = read_rows(path)
    try:
        return [row.values for row in islice(rows, _FIRST_ROWS)]
    except BackstayError as error:
        raise renamed(error, path, name) from error
    finally:
        rows.close()


def renamed(error: BackstayError, path: Path, name: str) -> BackstayError:
    """Return an error that calls a file by the name that the user knows."""
    context = {key: value for key, value in error.context.items() if key != "path"}
    return type(error)(error.message.replace(str(path), name), **context)
