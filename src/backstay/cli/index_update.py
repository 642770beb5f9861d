"""Indexes what a command has stored, before it ends."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from backstay.errors import BackstayError

if TYPE_CHECKING:
    from backstay.app import Backstay

_MAX_SECONDS = 10.0


async def update_index(backstay: "Backstay", *, is_stopped: Callable[[], bool] = lambda: False) -> None:
    """Index conversations for a few seconds at most; lists scan the rest. Raises nothing that Backstay raises."""
    ends_at = time.monotonic() + _MAX_SECONDS
    with suppress(BackstayError):
        while not is_stopped() and time.monotonic() < ends_at:
            if not await backstay.index.fill_batch():
                return
