"""Shapes in which conversations leave the library: one file a format, all streaming.

A format turns one conversation into one chunk of bytes; what stands before the chunks is its `head`.
"""

from holdfast.library.formats.csv import Csv
from holdfast.library.formats.format import Format
from holdfast.library.formats.messages import Messages
from holdfast.library.formats.native import Native
from holdfast.library.formats.sharegpt import ShareGPT

FORMATS: dict[str, type[Format]] = {"messages": Messages, "native": Native, "sharegpt": ShareGPT, "csv": Csv}

__all__ = ["FORMATS", "Csv", "Format", "Messages", "Native", "ShareGPT"]
