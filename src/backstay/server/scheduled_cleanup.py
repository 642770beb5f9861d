"""The daily cleanup: expired backups of all owners, at the time that the settings say, by one of all servers."""

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

_DUTY = "cleanup"
_LATE_SECONDS = 3_600  # a machine that slept over the time still cleans within an hour after it


class CleanupJob:
    """Runs the cleanup when its time comes."""

    def __init__(self, *, backstay: Backstay, metrics: Metrics, cron: str) -> None:
        self._backstay = backstay
        self._metrics = metrics
        self._clock = SystemClock()
        self._trigger = CronTrigger.from_crontab(cron, timezone=ZoneInfo("UTC"))
        self._scheduler = AsyncIOScheduler(timezone=ZoneInfo("UTC"))

    def start(self) -> None:
        self._scheduler.add_job(
            self.run, self._trigger, coalesce=True, max_instances=1, misfire_grace_time=_LATE_SECONDS
        )
        self._scheduler.start()

    def stop(self) -> None:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    @property
    def next_at(self) -> datetime | None:
        """When it runs next."""
        return next((job.next_run_time for job in self._scheduler.get_jobs()), None)

    async def run(self, now: datetime | None = None) -> bool:
        """Clean up, unless another server does; whether it was this one. What goes wrong is logged."""
        # To the minute: the schedules of all servers are the same, and their clocks nearly so.
        due = (now or self._clock.now()).strftime("%Y-%m-%dT%H:%M")
        try:
            if not await self._backstay.scheduled.claim(_DUTY, due=due):
                _log.info("cleanup_left_to_another_server", due=due)
                return False
            await self._backstay.forget_expired()
            owners = await self._backstay.owners()
        except BackstayError as error:
            self._failed(None, error)
            return False
        for owner in owners:
            await self._clean(owner)
        return True

    async def _clean(self, owner: str) -> None:
        try:
            done = await self._backstay.for_owner(owner).backups.cleanup()
        except BackstayError as error:
            self._failed(owner, error)
            return
        removed = sum(
            decision.action in (RetentionAction.REMOVE, RetentionAction.FINISH) for decision in done.decisions
        )
        self._metrics.record_cleanup("done")
        _log.info(
            "cleanup_done", owner=owner, removed=removed, kept=len(done.decisions) - removed, orphans=len(done.orphans)
        )

    def _failed(self, owner: str | None, error: BackstayError) -> None:
        self._metrics.record_cleanup("failed")
        _log.warning("cleanup_failed", owner=owner, code=error.code, error=error.message)
