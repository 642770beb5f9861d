"""Privileges that Backstay's role lacks, and the SQL statements with which another role grants them."""

import re
from dataclasses import dataclass
from typing import Any

from backstay.storage.postgres.queries import quoted
from backstay.storage.postgres.session import Connection, query_value

_DENIED = re.compile(r"^permission denied for (table|view|sequence|function|schema|database) ([\w$]+)$")
_HIDING_POLICY = re.compile(r"^query would be affected by row-level security policy for table (.+)$")
_NOT_OWNER = re.compile(r"^must be owner of (table|view|sequence) ([\w$]+)$")

_CURRENT_ROLE = "SELECT current_user::text, quote_ident(current_user), quote_ident(current_database())"
# The server names a table without its schema, so take one of that name that the role may not use, Backstay's own first.
_RELATIONS = """
SELECT quote_ident(nspname), quote_ident(relname), nspname = %(schema)s AS is_own,
       has_schema_privilege(pg_namespace.oid, 'USAGE'), quote_ident(pg_get_userbyid(relowner))
  FROM pg_class
  JOIN pg_namespace ON pg_namespace.oid = relnamespace
 WHERE relname = %(name)s
   AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
   AND NOT pg_has_role(current_user, relowner, 'USAGE')
 ORDER BY has_table_privilege(pg_class.oid, 'SELECT')
          AND (nspname <> %(schema)s OR has_table_privilege(pg_class.oid, 'INSERT')
                                        AND has_table_privilege(pg_class.oid, 'UPDATE')
                                        AND has_table_privilege(pg_class.oid, 'DELETE')), is_own DESC, nspname
"""
_HAS_FUNCTION = "SELECT EXISTS (SELECT FROM pg_proc WHERE proname = %s AND pronamespace = to_regnamespace(%s))"
_IS_MIGRATED = (
    "SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relname = 'migrations')"
)
_HAS_ROW_SECURITY = (
    "SELECT coalesce(bool_or(relrowsecurity), FALSE) FROM pg_class WHERE relnamespace = to_regnamespace(%s)"
)
_MAY_CREATE = """
SELECT to_regnamespace(%(schema)s) IS NULL,
       CASE WHEN to_regnamespace(%(schema)s) IS NULL
            THEN has_database_privilege(current_database(), 'CREATE')
            ELSE has_schema_privilege(to_regnamespace(%(schema)s), 'CREATE')
                 AND has_schema_privilege(to_regnamespace(%(schema)s), 'USAGE') END
"""
# Not with `to_regclass`, which fails without USAGE on the schema.
_MAY_REFER_TO_USERS = """
SELECT has_schema_privilege(pg_namespace.oid, 'USAGE'), coalesce(has_table_privilege(pg_class.oid, 'REFERENCES'), TRUE)
  FROM pg_namespace
  LEFT JOIN pg_class ON relnamespace = pg_namespace.oid AND relname = 'users'
 WHERE nspname = 'auth'
"""


@dataclass(frozen=True, slots=True)
class MissingPrivilege:
    """A privilege that the role lacks."""

    role: str
    """The role as the server knows it; a pooler's address may contain another name."""
    problem: str
    """What the role may not do, as a phrase after the role's name."""
    statements: str | None
    """The SQL that grants the privilege; None if it is not known."""

    def __str__(self) -> str:
        granted = "have it granted" if self.statements is None else f"have another role grant it: `{self.statements}`"
        return f"the role {self.role!r} {self.problem}; {granted}"


def find_missing(connection: Connection, schema: str, message: str) -> MissingPrivilege | None:
    """Return the privilege that an error message says is missing; None for other messages. Changes nothing."""
    role, grantee, database = connection.execute(_CURRENT_ROLE).fetchone() or ("", "", "")
    if match := _HIDING_POLICY.match(message):
        grant = f"ALTER ROLE {grantee} BYPASSRLS"
        return MissingPrivilege(role, f"may not see every row of {match[1]}: row-level security is in the way", grant)
    if match := _NOT_OWNER.match(message):
        kind, name = match.groups()
        for _, _, is_own, _, owner in _find_relations(connection, schema, name):
            if is_own:
                return MissingPrivilege(
                    role, f"does not own the {kind} {name}, which belongs to {owner}", f"GRANT {owner} TO {grantee}"
                )
        return None
    if not (match := _DENIED.match(message)):
        return None
    kind, name = match.groups()
    problem = f"lacks a right on the {kind} {name}"
    if kind == "database":
        return MissingPrivilege(role, problem, f"GRANT CREATE ON DATABASE {database} TO {grantee}")
    if kind == "schema" and name == schema:
        return MissingPrivilege(role, problem, _grant_schema(connection, schema, grantee))
    if kind == "schema":
        return MissingPrivilege(role, problem, _grant_usage(quoted(name), grantee))
    if kind == "function":
        is_own = query_value(connection, _HAS_FUNCTION, (name, schema))
        return MissingPrivilege(role, problem, _grant_schema(connection, schema, grantee) if is_own else None)
    for namespace, relation, is_own, may_enter, _ in _find_relations(connection, schema, name):
        if is_own:
            return MissingPrivilege(role, problem, _grant_schema(connection, schema, grantee))
        right = "USAGE ON SEQUENCE" if kind == "sequence" else "SELECT ON"
        grants = [] if may_enter else [_grant_usage(namespace, grantee)]
        return MissingPrivilege(
            role, problem, "; ".join([*grants, f"GRANT {right} {namespace}.{relation} TO {grantee}"])
        )
    return MissingPrivilege(role, problem, None)


def find_missing_to_migrate(connection: Connection, schema: str) -> MissingPrivilege | None:
    """Return the privilege that migrations need and the role lacks; None if there is none. Changes nothing."""
    role, grantee, database = connection.execute(_CURRENT_ROLE).fetchone() or ("", "", "")
    is_new, may_create = connection.execute(_MAY_CREATE, {"schema": schema}).fetchone() or (True, True)
    if not may_create:
        grant = f"CREATE ON DATABASE {database}" if is_new else f"CREATE, USAGE ON SCHEMA {schema}"
        return MissingPrivilege(
            role, f"may not make the schema {schema!r} or tables in it", f"GRANT {grant} TO {grantee}"
        )
    may_enter, may_refer = connection.execute(_MAY_REFER_TO_USERS).fetchone() or (True, True)
    grants = [] if may_enter else [_grant_usage("auth", grantee)]
    grants += [] if may_refer else [f"GRANT REFERENCES ON auth.users TO {grantee}"]
    return MissingPrivilege(role, "may not refer to the users in auth.users", "; ".join(grants)) if grants else None


def _find_relations(connection: Connection, schema: str, name: str) -> list[tuple[Any, ...]]:
    return connection.execute(_RELATIONS, {"schema": schema, "name": name}).fetchall()


def _grant_schema(connection: Connection, schema: str, grantee: str) -> str:
    """Return all grants that a role needs to use a schema that another role migrated, or to migrate an empty one."""
    if not query_value(connection, _IS_MIGRATED, (schema,)):
        return f"GRANT CREATE, USAGE ON SCHEMA {schema} TO {grantee}"
    grants = [
        _grant_usage(schema, grantee),
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {grantee}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {grantee}",
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {grantee}",
    ]
    if query_value(connection, _HAS_ROW_SECURITY, (schema,)):  # its policies show rows to Supabase's roles only
        grants.append(f"ALTER ROLE {grantee} BYPASSRLS")
    return "; ".join(grants)


def _grant_usage(schema: str, grantee: str) -> str:
    return f"GRANT USAGE ON SCHEMA {schema} TO {grantee}"
