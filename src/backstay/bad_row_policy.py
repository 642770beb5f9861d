"""The policy for rows of an input that cannot be used, in a module that the command line loads quickly."""

from enum import StrEnum
from pathlib import Path

from backstay.errors import SettingsError
from backstay.remedy import Remedy


class BadRowPolicy(StrEnum):
    """The treatment of rows that cannot be used."""

    FAIL = "fail"
    """Use no row."""
    SKIP = "skip"
    """Leave them out."""
    QUARANTINE = "quarantine"
    """Leave them out, and write them to a file."""


def choose_policy(policy: BadRowPolicy | str | None, quarantine: str | Path | None) -> BadRowPolicy:
    """Return the policy, by default `quarantine` if there is a file for it, else `fail`.

    Raises:
        SettingsError: the policy is unknown, there is no file for `quarantine`, or one without it.
    """
    if policy is None:
        return BadRowPolicy.FAIL if quarantine is None else BadRowPolicy.QUARANTINE
    if policy not in list(BadRowPolicy):
        raise SettingsError(f"{policy!r} is no policy for bad rows: {', '.join(BadRowPolicy)}", setting="on_bad_row")
    chosen = BadRowPolicy(policy)
    if chosen is BadRowPolicy.QUARANTINE and quarantine is None:
        raise SettingsError(
            "The quarantine of bad rows has no file", remedy=Remedy.NAME_QUARANTINE, setting="quarantine"
        )
    if chosen is not BadRowPolicy.QUARANTINE and quarantine is not None:
        raise SettingsError(f"Bad rows have a quarantine, but also the policy {chosen}", setting="quarantine")
    return chosen
