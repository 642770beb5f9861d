"""Exports of conversations as files for training."""

from collections.abc import AsyncIterator

from backstay.app import Services
from backstay.errors import BackstayError
from backstay.library.formats import FORMATS
from backstay.library.selection import Selection
from backstay.logs import get_logger
from backstay.server.limits import ConcurrencyLimit
from backstay.server.request_middleware import AbortedResponse

_log = get_logger("backstay.server")

MEDIA_TYPES = {
    "messages": "application/jsonl",
    "native": "application/jsonl",
    "sharegpt": "application/jsonl",
    "csv": "text/csv; charset=utf-8",
}
_BLOCK_BYTES = 256 * 1024


async def await_first_block(blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
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


async def export_blocks(
    services: Services, selection: Selection, format_name: str, slots: ConcurrencyLimit
) -> AsyncIterator[bytes]:
    """Yield the selected conversations in one of `FORMATS`, in large blocks."""
    formatter = FORMATS[format_name]()
    async with slots.slot(services.owner):
        block = bytearray(formatter.head())
        async for conversation in services.conversations.export(selection):
            block += formatter.chunk(conversation)
            if len(block) >= _BLOCK_BYTES:
                yield bytes(block)
                block.clear()
        if block:
            yield bytes(block)
