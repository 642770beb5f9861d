"""Scheduled tasks, each run by exactly one server."""

from datetime import timedelta

from backstay.coordination.expiring_value import ExpiringValue
from backstay.coordination.store import ExpiringValueStore

_KIND = "scheduled_task"
_CLAIM_LIFETIME = timedelta(hours=12)


class ScheduledTasks:
    """The claims of servers to scheduled tasks."""

    def __init__(self, *, store: ExpiringValueStore) -> None:
        self._store = store

    async def claim(self, name: str, *, due: str) -> bool:
        """Claim the run of a task that was due at `due`; return True on exactly one server."""
        return await self._store.claim(ExpiringValue("", _KIND, f"{name} {due}", "", _CLAIM_LIFETIME)) is None
