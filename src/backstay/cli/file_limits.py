"""The limit on open files: each call in flight holds a connection, and a shell's usual limit is low."""

import resource
from contextlib import suppress

_MAX_OPEN_FILES = 65_536


def raise_file_limit() -> None:
    """Raise this process's soft limit to 65,536, or to its hard limit if that is lower.

    Does nothing if the system refuses.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = _MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(_MAX_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
