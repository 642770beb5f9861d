"""Trust in files of parent folders: only the user's own and root's are read, as in git.

A settings file can run commands, and a library can name functions to call. In a folder that several users can
write to, such as /tmp, either may be another user's.
"""

import os
from collections.abc import Mapping
from pathlib import Path

SAFE_FOLDERS_VARIABLE = "BACKSTAY_SAFE_DIRECTORIES"
"""Folders whose files are trusted whatever their owner, separated by colons."""

_ROOT = 0


def foreign_owner(path: Path, environ: Mapping[str, str]) -> int | None:
    """Return the user id of the owner of a file or folder that is not trusted; None if it is.

    Trusted are this user's own files, root's, and those in folders named as safe. For a link, both the link and its
    target have to be.
    """
    if str(path.parent) in environ.get(SAFE_FOLDERS_VARIABLE, "").split(os.pathsep):
        return None
    owners = (path.lstat().st_uid, path.stat().st_uid)
    return next((owner for owner in owners if owner not in trusted_users(environ)), None)


def trusted_users(environ: Mapping[str, str]) -> frozenset[int]:
    """Return the ids of the users whose files are trusted in any folder."""
    user = os.geteuid()
    # Root, too, trusts only its own files and, under sudo, those of the user who called sudo.
    sudo = environ.get("SUDO_UID", "") if user == _ROOT else ""
    return frozenset({_ROOT, user, *([int(sudo)] if sudo.isdecimal() else [])})
