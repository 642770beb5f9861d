"""Duties that come at a time and are done by one of all servers."""

from datetime import timedelta

from backstay.coordination.store import ExpiringValueStore

_KIND = "duty"
_REMEMBERED = timedelta(hours=12)


class ScheduledTasks:
    """Says which server does a duty."""

    def __init__(self, *, store: ExpiringValueStore) -> None:
        self._store = store

    async def claim(self, name: str, *, due: str) -> bool:
        """Whether it is ours to do the duty that was due at that moment. Of many servers, it is one's."""
        return await self._store.claim("", _KIND, f"{name} {due}", "", lasts=_REMEMBERED) is None
