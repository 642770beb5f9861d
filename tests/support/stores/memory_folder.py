"""Where files may be that are to cost no more than memory does: nothing in them has to outlive the machine."""

import shutil
import tempfile
from pathlib import Path

_SHARED = Path("/dev/shm")
_NEEDED = 2 * 1024**3  # bytes free; containers often have a few MB there, for semaphores


def new_folder(prefix: str) -> Path:
    """Make a folder in memory where there is enough of it, and else where temporary files are."""
    is_roomy = _SHARED.is_dir() and shutil.disk_usage(_SHARED).free >= _NEEDED
    return Path(tempfile.mkdtemp(prefix=prefix, dir=_SHARED if is_roomy else None))
