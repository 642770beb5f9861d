"""The event stream of a delete, from its first step to its end."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from starlette.responses import Response

from backstay.backup.backup import BackupPhase, BackupProgress, Listener
from backstay.errors import BackstayError
from backstay.schemas import DeleteProgressOut, DeleteResultOut
from backstay.server.events.event import encode_event
from backstay.server.problems import message_for
from backstay.server.state import AppState

_POLL_SECONDS = 0.1


async def respond_delete(state: AppState, work: Callable[[Listener], Coroutine[Any, Any, DeleteResultOut]]) -> Response:
    """Start a delete, and return a response that streams its progress. The delete continues if the client disconnects.

    Errors before the backup begins are raised here, as errors of the request.
    """
    unsent: dict[BackupPhase, BackupProgress] = {}  # the latest of each phase, so that even a very short phase is sent

    def note_unsent(progress: BackupProgress) -> None:
        unsent[progress.phase] = progress

    task, begun = state.background_backups.begin(work, on_progress=note_unsent)
    await asyncio.wait((task, begun), return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()

    async def events() -> AsyncGenerator[bytes]:
        is_over = False
        while not is_over:
            is_over = task.done()
            for phase in list(unsent):
                yield encode_event("progress", DeleteProgressOut.from_progress(unsent.pop(phase)))
            if not is_over:
                await asyncio.wait((task,), timeout=_POLL_SECONDS)
        yield _last_event(task)

    return state.hub.stream_response(events())


def _last_event(task: "asyncio.Task[DeleteResultOut]") -> bytes:
    try:
        return encode_event("deleted", task.result())
    except BackstayError as error:
        return encode_event("error", message_for(error))
