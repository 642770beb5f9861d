"""A program that imports from the original library and is killed at its N-th commit, for fault tests: python -m
integration._killed_import URL FOLDER before:3"""

import asyncio
import sys
from pathlib import Path

from support.faults.sabotage import die_at_commit
from support.stores.original_app import Original

if __name__ == "__main__":
    _URL, _FOLDER, _WHEN = sys.argv[1:]
    _WHICH, _, _NUMBER = _WHEN.partition(":")
    die_at_commit(_WHICH, int(_NUMBER))
    asyncio.run(Original(_URL, Path(_FOLDER)).backstay().migrate_from_original())
