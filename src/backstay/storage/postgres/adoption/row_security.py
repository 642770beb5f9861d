"""Row-level security for Supabase users: each sees their own rows (docs/engineering/decisions/0031)."""

from typing import Any

from backstay.storage.postgres.adoption.mapping import TableMapping
from backstay.storage.postgres.adoption.side_tables import template_values
from backstay.storage.postgres.adoption.templates import render
from backstay.storage.postgres.session import Connection, query_value

_SECURITY_INVOKER_SINCE = 150_000
"""The first server version whose views can run with the privileges of the user who queries them."""


def has_policies(connection: Connection) -> bool:
    """Return whether the database has Supabase's users, and views that obey policies."""
    return _has_users(connection) and connection.info.server_version >= _SECURITY_INVOKER_SINCE


def protect(connection: Connection, mapping: TableMapping, schema: str) -> None:
    """Protect what an adoption created. Does nothing in a database without Supabase's users."""
    if _has_users(connection):
        values = template_values(mapping, schema) | _roles(connection)
        connection.execute(render("row_security/side_tables", **values))
    protect_adopted_rows(connection, schema)
    protect_views(connection, schema)


def protect_views(connection: Connection, schema: str) -> None:
    """Protect the views, which a renewal creates again."""
    if _has_users(connection):
        connection.execute(render("row_security/views", schema=schema, **_roles(connection)))


def protect_adopted_rows(connection: Connection, schema: str) -> None:
    """Protect the view that the triggers read."""
    if _has_users(connection):
        connection.execute(render("row_security/adopted_rows", schema=schema, **_roles(connection)))


def _has_users(connection: Connection) -> bool:
    return bool(query_value(connection, render("row_security/has_users")))


def _roles(connection: Connection) -> dict[str, Any]:
    """Return what the templates have to know about the roles of the server."""
    roles = [name for (name,) in connection.execute(render("row_security/roles")).fetchall()]
    return {
        "strangers": ["PUBLIC", *(name for name in roles if name != "service_role")],
        "users_may_read": "authenticated" in roles and has_policies(connection),
        "has_service_role": "service_role" in roles,
    }
