"""Rows from files and standard input: CSV, TSV, JSONL and JSON arrays, streamed."""

from holdfast.readers.read import read_rows
from holdfast.readers.row import Row

__all__ = ["Row", "read_rows"]
