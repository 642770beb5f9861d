"""Exports of conversations as files for training."""

from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

from backstay.app import Services
from backstay.errors import BackstayError
from backstay.library.choices import ExportFormat
from backstay.library.formats import Format, load_format
from backstay.library.selection import Selection
from backstay.logs import get_logger
from backstay.server.request_limits import ConcurrencyLimit
from backstay.server.request_middleware import AbortedResponse

_log = get_logger("backstay.server")

FORMATS = {name: load_format(name) for name in ExportFormat}
_BLOCK_BYTES = 256 * 1024


async def respond(
    services: Services, selection: Selection, name: ExportFormat, slots: ConcurrencyLimit
) -> StreamingResponse:
    """Respond with the selected conversations as a file. Errors before the first block are raised here."""
    form = FORMATS[name]
    return StreamingResponse(
        await _await_first_block(_blocks(services, selection, form(), slots)),
        media_type=form.media_type,
        headers={"Content-Disposition": f'attachment; filename="conversations.{name}.{form.suffix}"'},
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
    services: Services, selection: Selection, form: Format, slots: ConcurrencyLimit
) -> AsyncIterator[bytes]:
    async with slots.slot(services.owner):
        block = bytearray(form.head())
        async for conversation in services.conversations.export(selection):
            block += form.chunk(conversation)
            if len(block) >= _BLOCK_BYTES:
                yield bytes(block)
                block.clear()
        if block:
            yield bytes(block)
