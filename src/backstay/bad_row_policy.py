"""The policy for unusable rows of an input, in a module that the command line loads quickly."""

from enum import StrEnum
from pathlib import Path

from backstay.errors import SettingsError
from backstay.remedy import Remedy


class BadRowPolicy(StrEnum):
    """The treatment of unusable rows."""

    FAIL = "fail"
    """Refuse the whole input."""
    SKIP = "skip"
    """Leave them out."""
    QUARANTINE = "quarantine"
    """Leave them out, and write them to a file."""


def choose_policy(policy: BadRowPolicy | str | None, quarantine: str | Path | None) -> BadRowPolicy:
    """Return the policy; by default `quarantine` if a file is named for it, otherwise `fail`.

    Raises:
        SettingsError: the policy is unknown, or a file is named without `quarantine` or missing for it.
    """
    if policy is None:
        return BadRowPolicy.FAIL if quarantine is None else BadRowPolicy.QUARANTINE
    if policy not in list(BadRowPolicy):
        raise SettingsError(f"{policy!r} is not a policy for bad rows: {', '.join(BadRowPolicy)}", setting="on_bad_row")
    chosen = BadRowPolicy(policy)
    if chosen is BadRowPolicy.QUARANTINE and quarantine is None:
        raise SettingsError("The quarantine needs a file", remedy=Remedy.NAME_QUARANTINE, setting="quarantine")
    if chosen is not BadRowPolicy.QUARANTINE and quarantine is not None:
        raise SettingsError(
            f"A quarantine file is named, but the policy for bad rows is {chosen}", setting="quarantine"
        )
    return chosen
