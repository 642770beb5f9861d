"""Streaming readers of rows from files and standard input: CSV, TSV, JSONL and JSON arrays."""

from backstay.readers.input_formats import read_rows
from backstay.readers.row import InputRow

__all__ = ["InputRow", "read_rows"]
