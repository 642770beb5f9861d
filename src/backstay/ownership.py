"""Which files of parent folders are trusted: the user's own and root's, as in git.

A settings file can make commands run, and a library can name functions to call. In a folder that several users can
write to, such as /tmp, either may be another user's.
"""

import os
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "BACKSTAY_SAFE_DIRECTORIES"
"""Folders whose files are trusted whoever owns them, separated by colons."""

_ROOT = 0


def foreign_owner(path: Path, environ: Mapping[str, str]) -> int | None:
    """Return the user id that a file or folder belongs to; None where it is this user's own, root's or named as safe.

    Behind a link both have to be: the link, and what it leads to.
    """
    if str(path.parent) in environ.get(VARIABLE, "").split(os.pathsep):
        return None
    owners = (path.lstat().st_uid, path.stat().st_uid)
    return next((owner for owner in owners if owner not in _trusted(environ)), None)


def _trusted(environ: Mapping[str, str]) -> frozenset[int]:
    user = os.geteuid()
    # Root trusts only its own files too; under sudo it also trusts its caller's.
    sudo = environ.get("SUDO_UID", "") if user == _ROOT else ""
    return frozenset({_ROOT, user, *([int(sudo)] if sudo.isdecimal() else [])})
