"""Files uploaded on one page, stored until the next page creates a job from them."""

import asyncio
import os
import secrets
import shutil
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from backstay.errors import BackstayError
from backstay.readers import InputRow, read_rows
from backstay.readers.file_kind import FileKind
from backstay.server.problems import Problem
from backstay.server.temporary_folder import TemporaryFolder
from backstay.server.uploads import rename_file

_MAX_FILES = 20
_LIFETIME_SECONDS = 3_600.0
_PREVIEW_ROWS = 3
_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class PendingUpload:
    """An uploaded file with its columns and first rows."""

    id: str
    path: Path
    name: str
    columns: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    size: int
    stored_at: float
    """The time of the upload, by a monotonic clock."""

    @property
    def job_id(self) -> str:
        """The suggested job name, which is the file's name."""
        return FileKind.from_name(self.name).stem_of(self.name)[:200] or "batch"


class PendingUploads:
    """The latest uploads, stored for at most an hour and up to `max_bytes` in total."""

    def __init__(self, folder: TemporaryFolder, *, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._files: dict[str, PendingUpload] = {}

    async def add(self, source: Any, name: str, suffix: str) -> PendingUpload:
        """Store the content of a file object.

        Raises:
            InputError: the file cannot be read as rows.
        """
        return await asyncio.to_thread(self._add, source, name, suffix)

    def find(self, upload_id: str) -> PendingUpload:
        """Return an upload. Raises Problem if it no longer exists."""
        upload = self._files.get(upload_id)
        if upload is None or not upload.path.is_file():  # a cleaner of temporary files may have removed it
            raise Problem(404, "not_found", "This file is no longer available; choose it again")
        return upload

    def _add(self, source: Any, name: str, suffix: str) -> PendingUpload:
        self._evict(source.seek(0, os.SEEK_END))
        upload_id = secrets.token_urlsafe(16)
        path = self._folder.path() / f"{upload_id}{suffix}"
        source.seek(0)
        try:
            with path.open("xb") as file:
                shutil.copyfileobj(source, file, _BLOCK_BYTES)
            rows = _read_first_rows(path, name)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        columns = list(dict.fromkeys(column for row in rows for column in row))
        size = path.stat().st_size
        upload = self._files[upload_id] = PendingUpload(upload_id, path, name, columns, rows, size, time.monotonic())
        return upload

    def _evict(self, size: int) -> None:
        """Remove expired uploads, then the oldest ones until a file of this size fits."""
        oldest = sorted(self._files.values(), key=lambda upload: upload.stored_at)
        count, total = len(oldest), size + sum(upload.size for upload in oldest)
        for upload in oldest:
            if (
                count >= _MAX_FILES
                or total > self._max_bytes
                or time.monotonic() - upload.stored_at > _LIFETIME_SECONDS
            ):
                count, total = count - 1, total - upload.size
                self._files.pop(upload.id, None)
                upload.path.unlink(missing_ok=True)


def _read_first_rows(path: Path, name: str) -> list[Mapping[str, Any]]:
    """Return the first rows of a file. Raises InputError with the file name that the user knows."""
    rows: Generator[InputRow, None, None] = read_rows(path)
    try:
        return [row.values for row in islice(rows, _PREVIEW_ROWS)]
    except BackstayError as error:
        raise rename_file(error, path, name) from error
    finally:
        rows.close()
