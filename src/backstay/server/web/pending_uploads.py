"""Files uploaded on one page, stored until the next page creates a job from them."""

import asyncio
import os
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from backstay.bad_row_policy import BadRowPolicy
from backstay.errors import BackstayError
from backstay.readers import read_rows
from backstay.readers.bad_rows import BadRows, BadRowsReport
from backstay.readers.file_kind import FileKind
from backstay.readers.input_notes import InputNotes
from backstay.readers.read_options import ReadOptions
from backstay.server.problems import Problem
from backstay.server.temporary_folder import TemporaryFolder
from backstay.server.uploads import rename_file

_MAX_FILES = 20
_LIFETIME_SECONDS = 3_600.0
_PREVIEW_ROWS = 3
_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FirstRows:
    """The first usable rows of a file, with the bad rows before them."""

    rows: Sequence[Mapping[str, Any]] = ()
    bad_rows: BadRowsReport = field(default_factory=BadRowsReport)
    notes: Sequence[str] = ()
    """What was noticed about the file, as whole sentences."""

    @property
    def columns(self) -> Sequence[str]:
        return list(dict.fromkeys(column for row in self.rows for column in row))


@dataclass(frozen=True, slots=True)
class PendingUpload:
    """An uploaded file."""

    id: str
    owner: str
    path: Path
    name: str
    size: int
    stored_at: float
    """The time of the upload, by a monotonic clock."""

    @property
    def job_id(self) -> str:
        """The suggested job name, which is the file's name."""
        return FileKind.from_name(self.name).stem_of(self.name)[:200] or "batch"

    def read_first_rows(self, read: ReadOptions) -> FirstRows:
        """Read the first rows. Blocks. Raises InputError, with the file name that the user knows."""
        notes: list[str] = []
        bad_rows = BadRows(BadRowPolicy.SKIP)
        input_notes = InputNotes(lambda note: notes.append(note.replace(str(self.path), self.name)))
        try:
            with closing(read_rows(self.path, options=read, notes=input_notes, bad_rows=bad_rows)) as rows:
                values = [row.values for row in islice(rows, _PREVIEW_ROWS)]
            bad_rows.finish(used=len(values))
        except BackstayError as error:
            raise rename_file(error, self.path, self.name) from error
        return FirstRows(values, bad_rows.report, notes)


class PendingUploads:
    """The latest uploads of all owners, stored for at most an hour.

    Args:
        folder: Folder for the files.
        max_bytes: Maximum bytes of one owner's uploads.
        max_owners: How many times `max_bytes` all uploads together may have.
    """

    def __init__(self, folder: TemporaryFolder, *, max_bytes: int, max_owners: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_total_bytes = max_bytes * max_owners
        self._files: dict[str, PendingUpload] = {}

    async def add(self, source: Any, name: str, suffix: str, *, owner: str) -> PendingUpload:
        """Store the content of a file object."""
        return await asyncio.to_thread(self._add, source, name, suffix, owner)

    def find(self, upload_id: str, *, owner: str) -> PendingUpload:
        """Return an upload of an owner. Raises Problem if there is none, or no longer."""
        upload = self._files.get(upload_id)
        # A cleaner of temporary files may have removed it.
        if upload is None or upload.owner != owner or not upload.path.is_file():
            raise Problem(404, "not_found", "This file is no longer available; choose it again")
        return upload

    def _add(self, source: Any, name: str, suffix: str, owner: str) -> PendingUpload:
        self._evict(source.seek(0, os.SEEK_END), owner)
        upload_id = secrets.token_urlsafe(16)
        path = self._folder.path() / f"{upload_id}{suffix}"
        source.seek(0)
        try:
            with path.open("xb") as file:
                shutil.copyfileobj(source, file, _BLOCK_BYTES)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        upload = PendingUpload(upload_id, owner, path, name, path.stat().st_size, time.monotonic())
        self._files[upload_id] = upload
        return upload

    def _evict(self, size: int, owner: str) -> None:
        """Remove expired uploads, then the owner's oldest, then the oldest of all, until a file of this size fits."""
        oldest = sorted(self._files.values(), key=lambda upload: upload.stored_at)
        for upload in oldest:
            if time.monotonic() - upload.stored_at > _LIFETIME_SECONDS:
                self._remove(upload)
        own = [upload for upload in oldest if upload.owner == owner and upload.id in self._files]
        while own and (len(own) >= _MAX_FILES or _size(own) + size > self._max_bytes):
            self._remove(own.pop(0))
        rest = [upload for upload in oldest if upload.id in self._files]
        while rest and _size(rest) + size > self._max_total_bytes:
            self._remove(rest.pop(0))

    def _remove(self, upload: PendingUpload) -> None:
        self._files.pop(upload.id, None)
        upload.path.unlink(missing_ok=True)


def _size(uploads: Sequence[PendingUpload]) -> int:
    return sum(upload.size for upload in uploads)
