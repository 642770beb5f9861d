"""The limit of open files: each call in flight is a connection, and the usual limit of a shell is low."""

import resource
from contextlib import suppress

_TARGET = 65_536


def raise_file_limit() -> None:
    """Raise the soft limit of this process up to its hard limit. Do nothing if the system refuses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = _TARGET if hard == resource.RLIM_INFINITY else min(_TARGET, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
