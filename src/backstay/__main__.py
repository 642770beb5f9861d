"""Run the command `backstay` by `python -m backstay`."""

import sys

from backstay.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
