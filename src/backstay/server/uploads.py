"""Files that a request brings, put on disk under names of ours for as long as they are read."""

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fastapi import UploadFile

from backstay.errors import BackstayError
from backstay.server.problems import Problem
from backstay.server.temporary_folder import TemporaryFolder

ITEMS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
CONVERSATIONS = (".jsonl", ".ndjson", ".json", ".zst")
_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was brought."""

    path: Path
    digest: str


@asynccontextmanager
async def store_upload(upload: UploadFile, kinds: tuple[str, ...], files: TemporaryFolder) -> AsyncIterator[Upload]:
    """Give an upload as a file; it is gone afterwards. Errors that name it call it `upload`.

    Only the ending of the name it came with is looked at: it says what kind of file it is.

    Raises:
        Problem: files of this kind are not read here.
    """
    ending = PurePosixPath(upload.filename or "").suffix.lower()
    if ending not in kinds:
        raise Problem(415, "unsupported_file", f"The file's name must end in one of {' '.join(kinds)}", field="file")
    folder = Path(await asyncio.to_thread(lambda: tempfile.mkdtemp(prefix="upload-", dir=files.path())))
    path = folder / f"upload{ending}"
    try:
        yield Upload(path, await asyncio.to_thread(_copy, upload, path))
    except BackstayError as error:
        raise _without_path(error, path) from error
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _copy(upload: UploadFile, path: Path) -> str:
    digest = hashlib.sha256()
    upload.file.seek(0)
    with path.open("xb") as file:
        while block := upload.file.read(_BLOCK):
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def _without_path(error: BackstayError, path: Path) -> BackstayError:
    context = {name: value for name, value in error.context.items() if name != "path"}
    return type(error)(error.message.replace(str(path), "upload"), **context)
