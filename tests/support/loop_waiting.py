"""Waiting for signs on an event loop, which turns meanwhile; where it must not, `waiting` does the same."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

from support.waiting import PATIENCE_SECONDS

Found = TypeVar("Found")


async def until(holds: Callable[[], Found | Awaitable[Found]], *, seconds: float = PATIENCE_SECONDS) -> Found:
    """Wait for what is expected to come true, as a function of either kind says it, and return it."""
    async with asyncio.timeout(seconds):
        while True:
            said = holds()
            found = await said if inspect.isawaitable(said) else said
            if found:
                return found
            await asyncio.sleep(0.01)
