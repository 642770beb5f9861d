"""Backstay on SQLite: one file, its write-ahead log beside it."""

from backstay.storage.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
