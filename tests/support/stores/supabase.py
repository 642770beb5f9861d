"""A database like Supabase's, with its roles and its schema `auth`."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.schema_migration import migrate
from support.stores import postgres

ANN, BOB = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
ROLES = ("anon", "authenticated", "service_role")

_AUTH = f"""
CREATE SCHEMA auth;
CREATE TABLE auth.users (id uuid PRIMARY KEY, email text);
INSERT INTO auth.users VALUES ('{ANN}', 'ann@example.com'), ('{BOB}', 'bob@example.com');
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS
    $$ SELECT (nullif(current_setting('request.jwt.claims', TRUE), '')::jsonb ->> 'sub')::uuid $$;
GRANT USAGE ON SCHEMA auth TO anon, authenticated, service_role;
"""


@contextmanager
def database(*, migrated: bool = True) -> Iterator[str]:
    """Create one with two users and, unless told otherwise, Backstay's tables; return its URL."""
    postgres.need_a_server()
    url = postgres.fresh_database(migrated=False)
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            for role in ROLES:
                if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchall():
                    bypass = " BYPASSRLS" if role == "service_role" else ""
                    connection.execute(f"CREATE ROLE {role} NOLOGIN{bypass}")
            connection.execute(_AUTH)
        if migrated:
            migrate(ServerAddress.from_url(url), postgres.SCHEMA)
        yield url
    finally:
        postgres.drop_database(url)


@contextmanager
def as_role(url: str, role: str, user: str | None = None) -> Iterator[psycopg.Connection]:
    """Act as one of its roles, signed in as a user or not."""
    with psycopg.connect(url, autocommit=True) as connection:
        claims = f'{{"sub": "{user}", "role": "{role}"}}' if user is not None else ""
        connection.execute("SELECT set_config('request.jwt.claims', %s, FALSE)", (claims,))
        connection.execute(f"SET ROLE {role}")
        yield connection
