"""Holdfast on SQLite: one file, its write-ahead log beside it."""

from holdfast.storage.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
