"""Open files: each call in flight is a connection, and a shell's usual limit is soon reached."""

import resource
from contextlib import suppress

_PLENTY = 65_536


def raise_file_limit() -> None:
    """Raise this process's own limit as far as it may without asking; where it may not, it stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _PLENTY if hard == resource.RLIM_INFINITY else min(_PLENTY, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
