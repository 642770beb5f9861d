"""The event stream of a delete, from its first step to its end."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from starlette.responses import Response

from backstay.backup.backup import BackupPhase, BackupProgress, Listener
from backstay.errors import BackstayError
from backstay.schemas import DeleteProgressOut, DeleteResultOut
from backstay.server.events.event import event
from backstay.server.problems import message_for
from backstay.server.state import AppState

_POLL_SECONDS = 0.1


class _PhaseQueue:
    """The latest unsent progress of each phase, so that even a very short phase is sent."""

    def __init__(self) -> None:
        self._unsent: dict[BackupPhase, BackupProgress] = {}

    def put(self, progress: BackupProgress) -> None:
        self._unsent[progress.phase] = progress

    def unsent(self) -> list[BackupProgress]:
        """Return the unsent progress, in the order of the phases, and forget it."""
        unsent, self._unsent = list(self._unsent.values()), {}
        return unsent


async def respond_delete(state: AppState, work: Callable[[Listener], Coroutine[Any, Any, DeleteResultOut]]) -> Response:
    """Start a delete, and return a response that streams its progress. The delete continues if the client disconnects.

    Errors before the backup begins are raised here, as errors of the request.
    """
    phases = _PhaseQueue()
    task, begun = state.background_backups.begin(work, on_progress=phases.put)
    await asyncio.wait((task, begun), return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()

    async def events() -> AsyncGenerator[bytes]:
        is_over = False
        while not is_over:
            is_over = task.done()
            for progress in phases.unsent():
                yield event("progress", DeleteProgressOut.from_progress(progress)).encoded
            if not is_over:
                await asyncio.wait((task,), timeout=_POLL_SECONDS)
        yield _last_event(task)

    return state.hub.stream_response(events())


def _last_event(task: "asyncio.Task[DeleteResultOut]") -> bytes:
    try:
        return event("deleted", task.result()).encoded
    except BackstayError as error:
        return event("error", message_for(error)).encoded
