"""How long to wait before the next try."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with jitter: between half and all of `first * 2 ** (tries - 1)` seconds, capped.

    The half that is certain keeps a burst of failures from coming back at once; the half that is drawn spreads it.
    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, the variant called equal jitter.
    """

    first: float = 1.0
    cap: float = 60.0
    retry_after_cap: float = 600.0
    """The longest wait, in seconds, that we let the other side ask of us."""

    def delay(self, tries: int, *, retry_after: float | None = None) -> float:
        """Return the seconds to wait after `tries` failed tries; `asked` is what the other side asked for."""
        full = min(self.cap, self.first * 2.0 ** min(tries - 1, 60))
        own = full / 2 + random.uniform(0, full / 2)  # noqa: S311 - spreads load, guards nothing
        if retry_after is None or not retry_after >= 0:  # so said, NaN is left out too
            return own
        return min(self.retry_after_cap, retry_after)
