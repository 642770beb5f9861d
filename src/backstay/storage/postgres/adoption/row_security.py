"""Beside Supabase's users: each sees what is theirs, as with our own tables (docs/engineering/decisions/0031)."""

from backstay.storage.postgres.adoption.mapping import TableMapping
from backstay.storage.postgres.queries import quoted
from backstay.storage.postgres.session import Connection
from backstay.storage.sql.cascade.tables import BUILT_IN_TABLES

_ASKS_AS_INVOKER = 150_000
"""The first version of the server whose views can be read with the rights of whoever asks."""
_STRANGERS = ("anon", "authenticated")


def is_guarded(connection: Connection) -> bool:
    """Whether there are users, and views that can be held to policies."""
    return _has_users(connection) and connection.info.server_version >= _ASKS_AS_INVOKER


def guard(connection: Connection, mapped: TableMapping, schema: str) -> None:
    """Guard what was made, where there are users; elsewhere nothing is done."""
    if not _has_users(connection):
        return
    beside, roles = f"{schema}.adopted_conversations", _roles(connection)
    tables = [beside]
    _close(connection, beside, roles)
    guard_rows(connection, schema)
    if mapped.turns_beside:
        tables.append(f"{schema}.adopted_turns")
        _close(connection, tables[1], roles)
    if "authenticated" in roles and is_guarded(connection):
        connection.execute(f"GRANT SELECT ON {', '.join(tables)} TO authenticated")
        connection.execute(
            f"CREATE POLICY own_rows ON {beside} FOR SELECT TO authenticated"
            f" USING (owner = (SELECT {schema}.signed_in()))"
        )
        for table in tables[1:]:
            same = " AND ".join(f"theirs.{quoted(name)} = adopted_turns.{quoted(name)}" for name in mapped.identity)
            # Read by whoever asks, so that only turns of their own are found.
            connection.execute(
                f"CREATE POLICY own_rows ON {table} FOR SELECT TO authenticated USING (EXISTS (SELECT 1"
                f" FROM {mapped.turns.place} AS theirs JOIN {beside} AS beside"
                f" ON beside.their_id = theirs.{quoted(mapped.conversation.name)} WHERE {same}))"
            )
    if "service_role" in roles:
        for table in tables:
            connection.execute(f"GRANT ALL ON {table} TO service_role")
            connection.execute(f"CREATE POLICY every_row ON {table} TO service_role USING (TRUE) WITH CHECK (TRUE)")
        connection.execute(f"GRANT EXECUTE ON FUNCTION {schema}.adopted_id(bigint) TO service_role")
    guard_views(connection, schema)


def guard_views(connection: Connection, schema: str) -> None:
    """Guard the views, likewise."""
    if not _has_users(connection):
        return
    roles = _roles(connection)
    for name in BUILT_IN_TABLES:
        view = f"{schema}.{name}"
        _revoke(connection, view, roles)
        if "authenticated" in roles and is_guarded(connection):
            connection.execute(f"GRANT SELECT ON {view} TO authenticated")
        if "service_role" in roles:
            connection.execute(f"GRANT ALL ON {view} TO service_role")


def guard_rows(connection: Connection, schema: str) -> None:
    """Guard what the triggers read: it shows rows of everybody."""
    if _has_users(connection):
        _revoke(connection, f"{schema}.adopted_rows", _roles(connection))


def _close(connection: Connection, table: str, roles: set[str]) -> None:
    connection.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    _revoke(connection, table, roles)


def _revoke(connection: Connection, what: str, roles: set[str]) -> None:
    connection.execute(f"REVOKE ALL ON {what} FROM PUBLIC")
    for role in sorted(roles & set(_STRANGERS)):
        connection.execute(f"REVOKE ALL ON {what} FROM {role}")


def _has_users(connection: Connection) -> bool:
    row = connection.execute("SELECT to_regclass('auth.users') IS NOT NULL").fetchone()
    return bool(row is not None and row[0])


def _roles(connection: Connection) -> set[str]:
    rows = connection.execute(
        "SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated', 'service_role')"
    ).fetchall()
    return {str(name) for (name,) in rows}
