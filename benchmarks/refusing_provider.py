"""The local provider as providers are: it refuses calls, at random, beyond a limit or for a minute.

When it does is said by the same code as in the simulation of waiting (`tests/support/fakes/provider_simulation.py`).
Its clock starts with the first call.
"""

import json
import math
import random
import sys
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import local_provider
from backstay.generate.provider_trouble import ProviderTrouble, TroubleKind

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.fakes.provider_simulation import (
    CALL_SECONDS,
    MEAN_TOKENS,
    REFUSAL_SECONDS,
    BucketLimit,
    ConcurrencyLimit,
    Condition,
    Outage,
    RandomRefusals,
    Result,
)

OUTAGE = (4.0, 64.0)
"""Seconds between which nothing passes, of the outage in the middle of a job."""
OUTAGE_SECONDS = 60.0
"""How long nothing passes from the first call on, of the outage that a job begins with."""
BUCKET_PER_SECOND = 50.0
AT_ONCE = 20


def _random(share: float, cause: TroubleKind, named: float | None = None) -> Callable[[], Condition]:
    return lambda: RandomRefusals(share, ProviderTrouble(cause, "", named))


CONDITIONS: Mapping[str, Callable[[], Condition]] = {
    "no refusals": _random(0.0, TroubleKind.LIMIT),
    "1 % of 429, Retry-After 1": _random(0.01, TroubleKind.LIMIT, 1.0),
    "5 % of 429, Retry-After 1": _random(0.05, TroubleKind.LIMIT, 1.0),
    "5 % of 429, no Retry-After": _random(0.05, TroubleKind.LIMIT),
    "2 % of 503": _random(0.02, TroubleKind.OVERLOAD),
    "bucket of 50 a second, true Retry-After": lambda: BucketLimit(lambda _: BUCKET_PER_SECOND, retry_after="true"),
    "20 at once": lambda: ConcurrencyLimit(AT_ONCE),
    "503 for a minute, from the fourth second on": lambda: Outage(*OUTAGE),
    "503 for the first minute": lambda: Outage(0.0, OUTAGE_SECONDS),
}
_STATUSES = {TroubleKind.LIMIT: 429, TroubleKind.OVERLOAD: 503}
_MEASURED = b"GET /v1/measured "


def refusing_provider(condition: str) -> AbstractContextManager[str]:
    """Run a provider in one of `CONDITIONS`; gives its base URL."""
    return local_provider.run_server(__file__, condition)


def measured(base_url: str) -> Result:
    """Return when a provider sent its answers and refusals, in seconds from the first call."""
    with urllib.request.urlopen(f"{base_url}/measured") as reply:
        return Result(**json.load(reply))


class _Server(local_provider.Server):
    def __init__(self, condition: Condition) -> None:
        super().__init__(CALL_SECONDS)
        self._condition = condition
        self._first_at = math.inf
        self._in_flight = 0
        self._rng = random.Random(5)
        self._result = Result()

    def answer_to(self, now: float, request: bytes) -> tuple[float, bytes]:
        if request.startswith(_MEASURED):
            sent = {"good_at": self._result.good_at, "refused_at": self._result.refused_at}
            return 0.0, local_provider.response(200, json.dumps(sent).encode())
        self._first_at = min(self._first_at, now)
        trouble = self._condition.trouble(now - self._first_at, MEAN_TOKENS, self._in_flight)
        if trouble is None:
            self._in_flight += 1
            return CALL_SECONDS * self._rng.uniform(0.7, 1.3), local_provider.GOOD
        self._result.refused_at.append(now - self._first_at)
        named = trouble.retry_after_seconds
        header = "" if named is None else f"Retry-After: {math.ceil(named)}\r\n"
        body = b'{"error": {"message": "busy, try again"}}'
        return REFUSAL_SECONDS, local_provider.response(_STATUSES[trouble.cause], body, header)

    def note_sent(self, now: float, answer: bytes) -> None:
        if answer is local_provider.GOOD:
            self._in_flight -= 1
            self._result.good_at.append(now - self._first_at)


if __name__ == "__main__":
    local_provider.serve(_Server(CONDITIONS[sys.argv[1]]()))
