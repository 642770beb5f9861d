"""Backstay on SQLite: one file, with its write-ahead log next to it."""

from backstay.storage.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
