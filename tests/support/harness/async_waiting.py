"""Wait for conditions on an event loop without blocking it; `waiting` blocks."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

from support.harness.waiting import PATIENCE_SECONDS

Found = TypeVar("Found")


async def until(holds: Callable[[], Found | Awaitable[Found]], *, seconds: float = PATIENCE_SECONDS) -> Found:
    """Wait until a function or coroutine function returns something true, and return it."""
    async with asyncio.timeout(seconds):
        while True:
            said = holds()
            value = await said if inspect.isawaitable(said) else said
            if value:
                return value
            await asyncio.sleep(0.01)
