"""Backstay on PostgreSQL."""

from backstay.storage.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
