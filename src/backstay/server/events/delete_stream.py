"""The answer that tells how a delete goes, from its first step to its end."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from starlette.responses import Response

from backstay.backup.backup import BackupPhase, BackupProgress, Listener
from backstay.errors import BackstayError
from backstay.schemas import DeleteProgressOut, DeleteResultOut
from backstay.server.events.event import event
from backstay.server.problems import message_for as told_error
from backstay.server.state import AppState

_LOOK_SECONDS = 0.1


class _PhaseQueue:
    """What of each phase was last heard and not yet told: a phase that was over in a moment is told all the same."""

    def __init__(self) -> None:
        self._untold: dict[BackupPhase, BackupProgress] = {}

    def put(self, progress: BackupProgress) -> None:
        self._untold[progress.phase] = progress

    def unsent(self) -> list[BackupProgress]:
        """Return it in the order of the phases; the next time it is what was heard since."""
        found, self._untold = list(self._untold.values()), {}
        return found


async def deleting(
    state: AppState,
    work: Callable[[Listener], Coroutine[Any, Any, DeleteResultOut]],
) -> Response:
    """Begin a delete that goes on whoever listens, and answer with what it tells.

    What is wrong before its backup has begun is raised here, as an error of the request.
    """
    phases = _PhaseQueue()
    task, begun = state.background_backups.begin(work, hear=phases.put)
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
                await asyncio.wait((task,), timeout=_LOOK_SECONDS)
        yield _end(task)

    return state.hub.response(events())


def _end(task: "asyncio.Task[DeleteResultOut]") -> bytes:
    try:
        return event("deleted", task.result()).encoded
    except BackstayError as error:
        return event("error", told_error(error)).encoded
