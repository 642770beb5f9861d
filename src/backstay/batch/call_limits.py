"""The limits of a job's calls, and the checks of all numbers of a run."""

from dataclasses import asdict, dataclass
from typing import Any

from backstay.batch.processor import CallableProcessor, RateLimitable
from backstay.errors import SettingsError
from backstay.limits import MAX_ATTEMPTS, MAX_CONCURRENCY, MAX_RPM, MAX_RUN_ITEMS, MAX_SECONDS, MAX_TPM, MIN_SECONDS

_BOUNDS: dict[str, tuple[float, float]] = {
    "concurrency": (1, MAX_CONCURRENCY),
    "rpm": (0, MAX_RPM),  # 0 removes the limit
    "tpm": (0, MAX_TPM),
    "max_attempts": (1, MAX_ATTEMPTS),
    "timeout_seconds": (MIN_SECONDS, MAX_SECONDS),
    "limit": (1, MAX_RUN_ITEMS),
}


@dataclass(frozen=True, slots=True)
class CallLimits:
    """The limits of a job's calls to its provider; None means that the job sets no limit of its own."""

    concurrency: int | None = None
    """Maximum calls in flight."""
    rpm: int | None = None
    """Maximum requests per minute, for a recipe."""
    tpm: int | None = None
    """Maximum tokens per minute, for a recipe."""

    def to_dict(self) -> dict[str, int]:
        """Return the limits that are set."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def with_changes(self, changes: "CallLimits") -> "CallLimits":
        """Return these limits with `changes` applied. A 0 removes a limit."""
        merged = self.to_dict() | changes.to_dict()
        return CallLimits(**{name: value for name, value in merged.items() if value})


def check_limits(
    limits: CallLimits,
    *,
    max_attempts: int = 1,
    timeout_seconds: float = 1.0,
    limit: int | None = None,
) -> None:
    """Check that each number is within its bounds. Raises SettingsError."""
    numbers: dict[str, Any] = {**limits.to_dict(), "max_attempts": max_attempts, "timeout_seconds": timeout_seconds}
    if limit is not None:
        numbers["limit"] = limit
    for name, value in numbers.items():
        types, expected = (int, "a whole number") if name != "timeout_seconds" else (int | float, "a number of seconds")
        if isinstance(value, bool) or not isinstance(value, types):
            raise SettingsError(f"{name} must be {expected}, not {value!r}", setting=name)
        minimum, maximum = _BOUNDS[name]
        if not minimum <= value <= maximum:
            raise SettingsError(f"{name} must be from {minimum:,} to {maximum:,}, not {value:,}", setting=name)


def check_rate_limits(limits: CallLimits, processor: CallableProcessor) -> None:
    """Refuse `rpm` and `tpm` for a processor whose requests cannot be limited. Raises SettingsError."""
    rates = [name for name in ("rpm", "tpm") if getattr(limits, name) is not None]
    if rates and not isinstance(processor.function, RateLimitable):
        raise SettingsError(
            f"{rates[0]} limits the requests of a recipe, and this job has no recipe; leave it out", setting=rates[0]
        )
