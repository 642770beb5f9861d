"""The delay before the next try."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with jitter: between half and all of `first * 2 ** (tries - 1)` seconds, up to `cap`.

    The fixed half keeps a burst of failures from being retried at once; the random half spreads the retries.
    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, the variant called equal jitter.
    """

    first: float = 1.0
    cap: float = 60.0
    retry_after_cap: float = 600.0
    """The longest `Retry-After`, in seconds, that is honoured; a longer one is cut to it."""

    def delay(self, tries: int, *, retry_after: float | None = None) -> float:
        """Return the seconds to wait after `tries` failed tries; `retry_after` is the wait the server asked for."""
        full = min(self.cap, self.first * 2.0 ** min(tries - 1, 60))
        own = full / 2 + random.uniform(0, full / 2)  # noqa: S311 - spreads load, guards nothing
        if retry_after is None or not retry_after >= 0:  # written this way, it is also true for NaN
            return own
        return min(self.retry_after_cap, retry_after)
