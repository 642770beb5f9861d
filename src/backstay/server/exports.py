"""Exports of conversations as files for training."""

from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

from backstay.app import Services
from backstay.errors import BackstayError
from backstay.library.choices import DEFAULT_FORMAT, ExportFormat
from backstay.library.exports.request import ExportRequest
from backstay.library.formats import load_format
from backstay.library.selection import Selection
from backstay.logs import get_logger
from backstay.server.request_limits import ConcurrencyLimit
from backstay.server.request_middleware import AbortedResponse

_log = get_logger("backstay.server")

FORMATS = {name: load_format(name) for name in ExportFormat}


async def respond(
    services: Services, selection: Selection, request: ExportRequest, slots: ConcurrencyLimit
) -> StreamingResponse:
    """Respond with the selected conversations as a file. Errors before the first block, such as losses, are raised."""
    name = ExportFormat(request.format or DEFAULT_FORMAT)
    suffix = FORMATS[name].suffix
    file_name = f"conversations.{suffix}" if name == suffix else f"conversations.{name}.{suffix}"
    return StreamingResponse(
        await _await_first_block(_blocks(services, selection, request, slots)),
        media_type=FORMATS[name].media_type,
        headers={"Content-Disposition": f'attachment; filename="{file_name}"'},
    )


async def _await_first_block(blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Wait for the first block, then return all of them. Errors until then are raised here, before the response."""
    first = await anext(blocks, b"")

    async def all_blocks() -> AsyncIterator[bytes]:
        yield first
        try:
            async for block in blocks:
                yield block
        except BackstayError as error:
            _log.warning("export_aborted", code=error.code, error=error.message)
            raise AbortedResponse from error

    return all_blocks()


async def _blocks(
    services: Services, selection: Selection, request: ExportRequest, slots: ConcurrencyLimit
) -> AsyncIterator[bytes]:
    async with slots.slot(services.owner):
        async for block in services.conversations.stream_export(selection, request):
            yield block
