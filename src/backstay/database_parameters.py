"""Parameters of a database address: passed on, ignored because they are for other drivers, or refused."""

import re
from collections.abc import Collection, Mapping
from urllib.parse import unquote

from backstay.errors import SettingsError
from backstay.suggestions import did_you_mean

_SETTING = "database_url"
_NAME = re.compile(r"[A-Za-z][\w.-]{0,60}")
_SECRETS = re.compile(r"(?<=[?&])(?:ssl)?password=[^&]*&?|(?<=[?&])(?:oauth_client_secret|scram_\w+_key)=[^&]*&?")


def _names(text: str) -> frozenset[str]:
    return frozenset(name.lower() for name in text.split())


_SERVER_IGNORED = _names(
    # Prisma, and what Supabase, Neon and Vercel put into the addresses they show
    "pgbouncer connection_limit pool_timeout statement_cache_size socket_timeout max_connection_lifetime "
    "max_idle_connection_lifetime supa workaround uselibpqcompat "
    # SQLAlchemy, asyncpg, Django, Rails, Ecto
    "prepared_statement_cache_size prepared_statement_name_func async_fallback prepare_threshold timeout "
    "max_cached_statement_lifetime max_cacheable_statement_size command_timeout conn_max_age conn_health_checks "
    "disable_server_side_cursors pool pool_size max_overflow pool_pre_ping pool_recycle checkout_timeout "
    "reaping_frequency prepared_statements advisory_locks encoding adapter prepare queue_target queue_interval "
    # node-postgres, postgres.js
    "max min idle_timeout max_lifetime fetch_types idleTimeoutMillis connectionTimeoutMillis query_timeout "
    # pgx, lib/pq
    "pool_max_conns pool_min_conns pool_max_conn_lifetime pool_max_conn_lifetime_jitter pool_max_conn_idle_time "
    "pool_health_check_period default_query_exec_mode statement_cache_capacity description_cache_capacity "
    "statement_cache_mode prefer_simple_protocol binary_parameters "
    # JDBC
    "prepareThreshold preparedStatementCacheQueries preparedStatementCacheSizeMiB socketTimeout loginTimeout "
    "connectTimeout tcpKeepAlive reWriteBatchedInserts binaryTransfer preferQueryMode defaultRowFetchSize stringtype "
    "assumeMinServerVersion "
    # Limits on a session, which each of our transactions sets for itself
    "statement_timeout lock_timeout transaction_timeout idle_in_transaction_session_timeout"
)
_SCHEMA = "our tables are in the schema that BACKSTAY_SCHEMA names, by default backstay; leave it out"
_SSL = "use sslmode=require, or verify-full with sslrootcert, instead"
_SERVER_REFUSED: Mapping[str, str] = {
    "schema": _SCHEMA,
    "currentschema": _SCHEMA,
    "search_path": _SCHEMA,
    "schema_search_path": _SCHEMA,
    "ssl": _SSL,
    "sslaccept": _SSL,
    "sslfactory": _SSL,
    "ssl_mode": _SSL,
    "sslidentity": "use sslcert and sslkey instead",
    "role": "connect as that role, or use options=-crole%3DNAME instead",
    "database": "write the database after the host, as in HOST/DATABASE",
    "username": "write user=NAME instead",
    "targetservertype": "use target_session_attrs instead",
    "loadbalancehosts": "use load_balance_hosts instead",
}
_FILE_IGNORED = _names(
    "timeout check_same_thread cached_statements detect_types isolation_level uri connection_limit socket_timeout cache"
)
_FILE_REFUSED: Mapping[str, str] = {
    "mode": "Backstay opens a file as each command needs it; leave it out",
    "immutable": "Backstay writes to its file; leave it out",
    "nolock": "without locks two processes would damage the file; leave it out",
    "vfs": "Backstay uses the file system of the machine; leave it out",
}


def for_server(query: str, known: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """Return the parameters in a query that libpq knows, by the names in `known`, and the names of ignored ones.

    Raises:
        SettingsError: a parameter cannot be honoured, or no driver knows it.
    """
    return _split(query, known, _SERVER_IGNORED, _SERVER_REFUSED)


def for_file(query: str) -> tuple[str, ...]:
    """Return the names of parameters that are ignored for an SQLite file. Raises like `for_server`."""
    return _split(query, (), _FILE_IGNORED, _FILE_REFUSED)[1]


def without_password(database: str) -> str:
    """Return a database address without its passwords, which the user supplies otherwise, such as by PGPASSWORD."""
    if not re.match(r"postgres(ql)?(\+\w+)?://", database):
        return database
    address = re.sub(r"^([\w+]+://[^:/@?]*):[^/?]*@", r"\1@", database)
    return _SECRETS.sub("", address).rstrip("?&")


def _split(
    query: str, known: Collection[str], ignored: frozenset[str], refused: Mapping[str, str]
) -> tuple[str, tuple[str, ...]]:
    used, skipped = [], []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        name = unquote(name)
        if name in known or (name == "ssl" and value == "true" and known) or not pair:
            used.append(pair)  # libpq accepts JDBC's ssl=true as sslmode=require
        elif name.lower() in ignored:
            skipped.append(name)
        elif name.lower() in refused:
            raise SettingsError(f"{_about(name)} cannot be honoured: {refused[name.lower()]}", setting=_SETTING)
        elif "@" in query or "password=" in query or not _NAME.fullmatch(name):
            # This may be a piece of a password that is not percent-encoded: the message must not contain it.
            raise SettingsError(
                "The database address has an unknown parameter; in a password, write @ / : # ? & as "
                "%40 %2F %3A %23 %3F %26",
                setting=_SETTING,
            )
        else:
            near = did_you_mean(name, [*known, *refused])
            raise SettingsError(f"{_about(name)} is unknown{near or '; leave it out'}", setting=_SETTING)
    return "&".join(used), tuple(dict.fromkeys(skipped))


def _about(name: str) -> str:
    return f"The parameter {name} in the database address"
