"""Address of a PostgreSQL server, which prints without its password."""

from dataclasses import dataclass, field
from typing import Any

from psycopg import ProgrammingError, pq
from psycopg.conninfo import conninfo_to_dict

from backstay import database_parameters
from backstay.errors import SettingsError

_DEFAULTS = {
    "application_name": "backstay",
    "connect_timeout": "10",
    # A server that has vanished without closing the connection is noticed within a minute.
    "keepalives_idle": "20",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "40000",
}


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Parameters of a connection, as libpq names them. Its text and repr contain no secrets."""

    parameters: dict[str, Any] = field(repr=False)
    ignored: tuple[str, ...] = ()
    """Names of omitted parameters, which are for other drivers."""

    @classmethod
    def from_url(cls, url: str) -> "ServerAddress":
        """Read `postgresql://user:password@host:port/database?…`.

        Raises:
            SettingsError: the URL is not of this form, or has a parameter that libpq does not know. The message quotes
                only that parameter's name.
        """
        # An unescaped mark in a password makes the rest of the password look like a host or a database.
        authority, _, path = url.partition("://")[2].partition("/")
        host = authority.partition("@")[2].partition("?")[0]
        if "@" in host or "@" in path.partition("?")[0]:
            raise _unreadable_address()
        base, query = _split_query(url)
        query, ignored = database_parameters.for_server(query, _libpq_parameters())
        try:
            parameters = conninfo_to_dict(f"{base}?{query}" if query else base)
        except ProgrammingError:
            raise _unreadable_address() from None
        if not _are_ports(str(parameters.get("port", ""))):
            raise _unreadable_address()
        if not str(parameters.get("connect_timeout", "1")).isdecimal():
            raise SettingsError("connect_timeout in the database address is no number", setting="database_url")
        return cls({**_DEFAULTS, **parameters}, ignored)

    @property
    def user(self) -> str:
        return str(self.parameters.get("user", ""))

    @property
    def database(self) -> str:
        return str(self.parameters.get("dbname") or self.user)

    @property
    def location(self) -> str:
        """Host, port and database, for people."""
        host = str(self.parameters.get("host") or self.parameters.get("hostaddr") or "localhost")
        port = self.parameters.get("port")
        return f"{host}{f':{port}' if port else ''}/{self.database}"

    def __str__(self) -> str:
        return self.location


def _split_query(url: str) -> tuple[str, str]:
    """Return the address without its query, and the query. A question mark may also occur in the password."""
    scheme, mark, rest = url.partition("://")
    user, at, target = rest.partition("@")
    if not at or "/" in user:
        user, at, target = "", "", rest
    base, _, query = target.partition("?")
    return f"{scheme}{mark}{user}{at}{base}", query


def _libpq_parameters() -> frozenset[str]:
    """Return the names of the parameters that this libpq knows."""
    return frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())


def _are_ports(ports: str) -> bool:
    return all(not port or (port.isdecimal() and 0 < int(port) < 65_536) for port in ports.split(","))


def _unreadable_address() -> SettingsError:
    return SettingsError(
        "The database address cannot be read; it looks like postgresql://USER:PASSWORD@HOST:5432/DATABASE, and marks "
        "such as @ / : # in a password are written as %40 %2F %3A %23",
        setting="database_url",
    )
