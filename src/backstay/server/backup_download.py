"""Downloads of backups: a stream that is either complete or visibly broken."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from backstay.backup.reader import OpenBackup
from backstay.backup.service import Backups
from backstay.errors import BackstayError
from backstay.logs import get_logger
from backstay.server.problems import Problem
from backstay.server.request_limits import ConcurrencyLimit
from backstay.server.request_middleware import AbortedResponse

_log = get_logger("backstay.server")

_RANGE = re.compile(r"bytes=(\d{1,18})?-(\d{1,18})?")


def download_ticket_purpose(backup_id: str) -> str:
    """Return the purpose of a ticket for downloading a backup."""
    return f"download {backup_id}"


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A range of bytes of a file."""

    start: int
    length: int
    is_partial: bool


class BackupResponse(Response):
    """A response with the file of a backup: as JSON or, if `stored`, as it is on disk.

    The file is opened before the response begins, so that errors up to that point get an HTTP status; later
    errors break the connection.
    """

    def __init__(
        self,
        backups: Backups,
        backup_id: str,
        *,
        stored: bool,
        range_header: str | None,
        slots: ConcurrencyLimit,
        idle_seconds: float,
    ) -> None:
        super().__init__()
        self._backups = backups
        self._backup_id = backup_id
        self._stored = stored
        self._range_header = range_header
        self._slots = slots
        self._idle_seconds = idle_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False
        try:
            async with self._slots.slot(scope["state"]["owner"]), self._backups.open(self._backup_id) as opened:
                if self._stored:
                    byte_range = parse_range_header(self._range_header, opened.size)
                    is_whole = byte_range.length == opened.size
                    blocks = (
                        opened.stream_file(compressed=True)
                        if is_whole
                        else opened.read_range(byte_range.start, byte_range.length)
                    )
                    head = self._stored_head(opened, byte_range)
                else:
                    blocks, head = opened.stream_file(compressed=False), self._head("application/json", ".json")
                first = await asyncio.to_thread(next, blocks, b"")
                has_begun = True
                await _stream(head, first, blocks, scope, receive, send, idle_seconds=self._idle_seconds)
        except (BackstayError, TimeoutError) as error:
            if not has_begun:
                raise
            reason = error.message if isinstance(error, BackstayError) else "the client stopped reading"
            _log.warning("download_aborted", error=reason)
            raise AbortedResponse from error

    def _head(self, media_type: str, ending: str) -> Response:
        name = f"{self._backup_id}{ending}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Accel-Buffering": "no"}
        head = Response(None, 200, headers, media_type)
        del head.headers["content-length"]
        return head

    def _stored_head(self, opened: OpenBackup, byte_range: ByteRange) -> Response:
        head = self._head("application/zstd", ".json.zst")
        head.headers["Content-Length"] = str(byte_range.length)
        head.headers["Accept-Ranges"] = "bytes"
        head.headers["ETag"] = f'"{(opened.backup.file_sha256 or b"").hex()}"'
        if byte_range.is_partial:
            head.status_code = 206
            head.headers["Content-Range"] = (
                f"bytes {byte_range.start}-{byte_range.start + byte_range.length - 1}/{opened.size}"
            )
        return head


def parse_range_header(range_header: str | None, size: int) -> ByteRange:
    """Return the range that a Range header requests; without a header, the whole file.

    Raises:
        Problem: the header is not a single range, or lies outside the file.
    """
    if range_header is None:
        return ByteRange(0, size, is_partial=False)
    match = _RANGE.fullmatch(range_header.strip())
    start, end = (match[1], match[2]) if match is not None else (None, None)
    if start is not None:
        first, last = int(start), min(int(end) if end is not None else size - 1, size - 1)
    elif end is not None:
        first, last = max(0, size - int(end)), size - 1
    else:
        first, last = 0, -1
    if first > last:
        raise Problem(
            416,
            "range_not_satisfiable",
            "Range must be one range of bytes within the file",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return ByteRange(first, last - first + 1, is_partial=True)


async def _stream(
    head: Response, first: bytes, blocks: Iterator[bytes], scope: Scope, receive: Receive, send: Send,
    *, idle_seconds: float,
) -> None:  # fmt: skip
    """Send a response block by block, until its end or until the client disconnects.

    Raises:
        BackstayError, TimeoutError: the content cannot be read further, or the client stopped reading.
    """
    await send({"type": "http.response.start", "status": head.status_code, "headers": head.raw_headers})
    disconnected = asyncio.create_task(_wait_for_disconnect(receive))
    block = first
    try:
        while block and not disconnected.done():
            async with asyncio.timeout(idle_seconds):
                await send({"type": "http.response.body", "body": block, "more_body": True})
            block = await asyncio.to_thread(next, blocks, b"")
        if not disconnected.done():
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        disconnected.cancel()


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
