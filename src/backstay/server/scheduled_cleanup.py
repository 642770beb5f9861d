"""The scheduled cleanup of all owners' expired backups, run by exactly one server."""

from datetime import datetime
from zoneinfo import ZoneInfo

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger

from backstay.app import Backstay
from backstay.backup.retention import RetentionAction
from backstay.clock import SystemClock
from backstay.errors import BackstayError
from backstay.logs import get_logger
from backstay.server.metrics import Metrics

_log = get_logger("backstay.server")

_TASK = "cleanup"
_MAX_DELAY_SECONDS = 3_600  # a machine that was asleep at the scheduled time still cleans up within an hour


class CleanupJob:
    """The scheduler of the cleanup."""

    def __init__(self, *, backstay: Backstay, metrics: Metrics, cron: str) -> None:
        self._backstay = backstay
        self._metrics = metrics
        self._clock = SystemClock()
        self._trigger = CronTrigger.from_crontab(cron, timezone=ZoneInfo("UTC"))
        self._scheduler = AsyncIOScheduler(timezone=ZoneInfo("UTC"))

    def start(self) -> None:
        self._scheduler.add_job(
            self.run, self._trigger, coalesce=True, max_instances=1, misfire_grace_time=_MAX_DELAY_SECONDS
        )
        self._scheduler.start()

    def stop(self) -> None:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    async def run(self, now: datetime | None = None) -> bool:
        """Clean up unless another server does, and log errors; return whether this server did."""
        # Rounded to the minute, because all servers have the same schedule but slightly different clocks.
        due = (now or self._clock.now()).strftime("%Y-%m-%dT%H:%M")
        try:
            if not await self._backstay.scheduled.claim(_TASK, due=due):
                _log.info("cleanup_claimed_elsewhere", due=due)
                return False
            await self._backstay.forget_expired()
            owners = await self._backstay.owners()
        except BackstayError as error:
            self._record_failure(None, error)
            return False
        for owner in owners:
            await self._clean_up(owner)
        return True

    async def _clean_up(self, owner: str) -> None:
        try:
            result = await self._backstay.for_owner(owner).backups.cleanup()
        except BackstayError as error:
            self._record_failure(owner, error)
            return
        removed = sum(
            decision.action in (RetentionAction.REMOVE, RetentionAction.FINISH) for decision in result.decisions
        )
        self._metrics.record_cleanup("done")
        _log.info(
            "cleanup_done",
            owner=owner,
            removed=removed,
            kept=len(result.decisions) - removed,
            orphans=len(result.orphans),
        )

    def _record_failure(self, owner: str | None, error: BackstayError) -> None:
        self._metrics.record_cleanup("failed")
        _log.warning("cleanup_failed", owner=owner, code=error.code, error=error.message)
