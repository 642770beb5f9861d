"""Export formats, one per module. All of them stream.

A format turns one conversation into one chunk of bytes; its `head` precedes the chunks.
"""

from backstay.library.formats.csv import Csv
from backstay.library.formats.format import Format
from backstay.library.formats.messages import Messages
from backstay.library.formats.native import Native
from backstay.library.formats.sharegpt import ShareGPT

FORMATS: dict[str, type[Format]] = {"messages": Messages, "native": Native, "sharegpt": ShareGPT, "csv": Csv}

__all__ = ["FORMATS", "Csv", "Format", "Messages", "Native", "ShareGPT"]
