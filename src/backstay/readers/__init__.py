"""Streaming readers of rows from files and standard input: CSV, TSV, JSONL, JSON, Parquet and plain text."""

from backstay.readers.input_formats import read_rows
from backstay.readers.read_options import ReadOptions
from backstay.readers.row import InputRow

__all__ = ["InputRow", "ReadOptions", "read_rows"]
