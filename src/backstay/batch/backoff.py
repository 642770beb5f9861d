"""The delay before the next try."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with jitter: between half and all of `first_seconds * 2 ** (tries - 1)`.

    That product is limited to `max_seconds`.

    The fixed half keeps a burst of failures from being retried at once; the random half spreads the retries.
    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, the variant called equal jitter.
    """

    first_seconds: float = 1.0
    max_seconds: float = 60.0
    max_retry_after_seconds: float = 600.0
    """A longer `Retry-After` is cut to this."""

    def delay(self, tries: int, *, retry_after_seconds: float | None = None) -> float:
        """Return the seconds to wait after `tries` failed tries; `retry_after_seconds` is what the server asked for."""
        full = min(self.max_seconds, self.first_seconds * 2.0 ** min(tries - 1, 60))
        own_delay = full / 2 + random.uniform(0, full / 2)  # noqa: S311 - spreads load, guards nothing
        if retry_after_seconds is None or not retry_after_seconds >= 0:  # written this way, it is also true for NaN
            return own_delay
        return min(self.max_retry_after_seconds, retry_after_seconds)
