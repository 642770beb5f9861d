"""Text files that options name."""

import sys
from pathlib import Path

from backstay.cli.text import printable
from backstay.errors import InputNotFound, InputUnreadable


def read_text(name: str) -> str:
    """Return the text of a file; `-` is standard input. Raises InputNotFound, InputUnreadable."""
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return data.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputNotFound(f"{printable(name)} not found", path=name) from error
    except OSError as error:
        raise InputUnreadable(f"{printable(name)} cannot be read: {error.strerror}", path=name) from error
    except UnicodeDecodeError as error:
        raise InputUnreadable(f"{printable(name)}: not UTF-8 text", path=name) from error
