"""Checks of a run's limits. Pure."""

from typing import Any

from backstay.batch.job import RunLimits
from backstay.batch.processor import CallableProcessor, RateLimitable
from backstay.errors import SettingsError
from backstay.limits import MAX_ATTEMPTS, MAX_CONCURRENCY, MAX_RPM, MAX_RUN_ITEMS, MAX_SECONDS, MAX_TPM, MIN_SECONDS

_MAXIMUMS = {"concurrency": MAX_CONCURRENCY, "rpm": MAX_RPM, "tpm": MAX_TPM}


def check_run(limits: RunLimits, max_attempts: int, timeout_seconds: float, limit: int | None) -> None:
    """Check each number by itself. Raises SettingsError."""
    checks: tuple[tuple[str, Any, type[int | float], float, float], ...] = (
        *((name, value, int, int(name == "concurrency"), _MAXIMUMS[name]) for name, value in limits.to_dict().items()),
        ("max_attempts", max_attempts, int, 1, MAX_ATTEMPTS),
        ("timeout", timeout_seconds, float, MIN_SECONDS, MAX_SECONDS),
        ("limit", 1 if limit is None else limit, int, 1, MAX_RUN_ITEMS),
    )
    for name, value, kind, minimum, maximum in checks:
        if isinstance(value, bool) or not isinstance(value, (int, kind)):
            expected = "a whole number" if kind is int else "a number of seconds"
            raise SettingsError(f"{name} must be {expected}, not {value!r}", setting=name)
        if not minimum <= float(value) <= maximum:
            raise SettingsError(f"{name} must be from {minimum:,} to {maximum:,}, not {value:,}", setting=name)


def check_rate_limits(limits: RunLimits, callee: CallableProcessor) -> None:
    """Check that a processor whose requests are to be limited makes requests. Raises SettingsError."""
    rates = [name for name in ("rpm", "tpm") if getattr(limits, name) is not None]
    if rates and not isinstance(callee.function, RateLimitable):
        raise SettingsError(
            f"{rates[0]} limits the requests of a recipe, and this job has no recipe; leave it out", setting=rates[0]
        )
