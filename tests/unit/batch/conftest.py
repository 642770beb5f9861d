"""Fixtures shared by the tests of the batch engine."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from backstay.batch.job import Job, JobSettings, JobState
from backstay.batch.progress import ItemCounts, TokenCounts


@pytest.fixture
def a_job() -> Callable[[JobState], Job]:
    """Return a function that makes a job in a state."""
    moment = datetime(2024, 1, 1, tzinfo=UTC)

    def make(state: JobState) -> Job:
        return Job(
            key=1,
            id="topics",
            owner="local",
            state=state,
            processor="caller",
            recipe=None,
            revision=None,
            settings=JobSettings(),
            counts=ItemCounts(),
            tokens=TokenCounts(),
            workers=0,
            provider_wait=None,
            pause=None,
            cleaned=False,
            created_at=moment,
            updated_at=moment,
            finished_at=None,
        )

    return make
