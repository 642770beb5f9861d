"""Uploaded files, stored on disk under safe names while they are read."""

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from fastapi import UploadFile

from backstay.errors import BackstayError
from backstay.library.imports.input_files import CONVERSATION_SUFFIXES
from backstay.readers.compression import COMPRESSED_SUFFIXES
from backstay.readers.file_kind import SPREADSHEET_ADVICE, SPREADSHEET_SUFFIXES, SUFFIXES, FileKind
from backstay.server.problems import Problem
from backstay.server.temporary_folder import TemporaryFolder

ITEM_SUFFIXES = SUFFIXES
IMPORT_SUFFIXES = CONVERSATION_SUFFIXES
_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file on disk."""

    path: Path
    name: str
    """The name of the file in errors and notes."""
    suffix: str
    """The ending of its name, such as `.jsonl.gz`."""
    digest: str
    notes: list[str] = field(default_factory=list)
    """What was noticed about its content."""

    def add_note(self, note: str) -> None:
        """Add a note with the name of the file in place of its path, unless it was added already."""
        note = note.replace(str(self.path), self.name)
        if note not in self.notes:
            self.notes.append(note)


@asynccontextmanager
async def store_upload(
    upload: UploadFile, suffixes: tuple[str, ...], files: TemporaryFolder, *, name: str = "upload"
) -> AsyncIterator[Upload]:
    """Store an upload in a file until the context exits. Errors and notes call the file `name`.

    Of the original name, only the suffix is used. Raises Problem like `suffix_of`.
    """
    suffix = suffix_of(upload.filename or "", suffixes)
    folder = Path(await asyncio.to_thread(lambda: tempfile.mkdtemp(prefix="upload-", dir=files.path())))
    path = folder / f"upload{suffix}"
    try:
        yield Upload(path, name, suffix, await asyncio.to_thread(_copy, upload, path))
    except BackstayError as error:
        raise rename_file(error, path, name) from error
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _copy(upload: UploadFile, path: Path) -> str:
    digest = hashlib.sha256()
    upload.file.seek(0)
    with path.open("xb") as file:
        while block := upload.file.read(_BLOCK_BYTES):
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def suffix_of(name: str, suffixes: tuple[str, ...]) -> str:
    """Return the ending of a file's name, which may be empty. Raises Problem if it is not in `suffixes`.

    An ending of compression may follow, or stand alone.
    """
    kind = FileKind.from_name(file_name(name))
    if kind.suffix in SPREADSHEET_SUFFIXES:
        raise Problem(415, "unsupported_file", f"The file is {SPREADSHEET_ADVICE}", field="file")
    if kind.suffix and kind.suffix not in suffixes:
        compressed = " or ".join(COMPRESSED_SUFFIXES)
        message = f"The file's name must end in one of {' '.join(suffixes)}, each also with {compressed}"
        raise Problem(415, "unsupported_file", message, field="file")
    return kind.ending


def file_name(name: str) -> str:
    """Return the last part of a name, which a browser may send with the path on the user's machine."""
    return PurePosixPath(name.replace("\\", "/")).name


def chosen_name(upload: UploadFile) -> str:
    """Return the name of the file that was chosen on a page. Raises Problem if none was."""
    name = file_name(upload.filename or "")[:200]
    if not name:
        raise Problem(422, "invalid_request", "No file was chosen; choose one, then submit again")
    return name


def rename_file(error: BackstayError, path: Path, name: str) -> BackstayError:
    """Return the error with the name that the user knows a file by, instead of its path."""
    context = {key: value for key, value in error.context.items() if key != "path"}
    return error.with_message(error.message.replace(str(path), name), **context)
