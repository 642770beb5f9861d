"""Holdfast on PostgreSQL."""

from holdfast.storage.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
