"""Parameters of a database address: libpq's are passed on, others are ignored or refused by name."""

import pytest

from backstay.errors import SettingsError
from backstay.settings import load
from backstay.storage.postgres.address import ServerAddress

_SECRET = "hunter2"
_URL = f"postgresql://ann:{_SECRET}@db.test:6543/app"


@pytest.mark.parametrize(
    "query",
    [
        "pgbouncer=true&connection_limit=1&pool_timeout=0",
        "statement_timeout=1&lock_timeout=1&transaction_timeout=1&idle_in_transaction_session_timeout=1",
        "supa=base-pooler.x&workaround=supabase-pooler.vercel",
        "statement_cache_size=0&prepared_statement_cache_size=0",
        "prepared_statements=false&pool=5",
        "prepareThreshold=0&reWriteBatchedInserts=true",
        "pool_max_conns=10&default_query_exec_mode=simple_protocol",
        "idleTimeoutMillis=30000&statement_timeout=5000",
    ],
)
def test_parameters_for_other_drivers_are_ignored_by_name(query):
    """Parameters for another driver's pool or cache are removed and named; the rest of the address is unchanged."""
    plain = ServerAddress.from_url(f"{_URL}?sslmode=require")

    address = ServerAddress.from_url(f"{_URL}?{query}&sslmode=require")

    assert address.parameters == plain.parameters
    assert address.ignored == tuple(piece.partition("=")[0] for piece in query.split("&"))


@pytest.mark.parametrize(
    ("query", "name", "value"),
    [
        ("sslmode=verify-full", "sslmode", "verify-full"),
        ("ssl=true", "sslmode", "require"),
        ("options=-csearch_path%3Dx", "options", "-csearch_path=x"),
        ("application_name=a%26b", "application_name", "a&b"),
        ("channel_binding=require", "channel_binding", "require"),
        ("target_session_attrs=read-write", "target_session_attrs", "read-write"),
        ("host=%2Fvar%2Frun", "host", "/var/run"),
        ("password=p@ss", "password", "p@ss"),
    ],
)
def test_what_libpq_knows_is_passed_on(query, name, value):
    """A parameter of libpq reaches it as it was written."""
    address = ServerAddress.from_url(f"{_URL}?{query}")

    assert (address.parameters[name], address.ignored) == (value, ())


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("schema=public", "The parameter schema in the database address cannot be honoured: our tables are in the "
         "schema that BACKSTAY_SCHEMA names, by default backstay; leave it out"),
        ("currentSchema=x", "The parameter currentSchema in the database address cannot be honoured: our tables are"),
        ("search_path=x", "The parameter search_path in the database address cannot be honoured: our tables are"),
        ("ssl=no-verify", "The parameter ssl in the database address cannot be honoured: use sslmode=require"),
        ("sslaccept=strict", "The parameter sslaccept in the database address cannot be honoured: use sslmode="),
        ("role=admin", "The parameter role in the database address cannot be honoured: connect as that role"),
        ("sslmod=require", "The parameter sslmod in the database address is unknown; did you mean sslmode?"),
        ("Connect_Timeout=3", "The parameter Connect_Timeout in the database address is unknown; did you mean "
         "connect_timeout?"),
        ("nonsense=1", "The parameter nonsense in the database address is unknown; leave it out"),
        ("pgbouncer=true&shcema=x", "The parameter shcema in the database address is unknown; did you mean schema?"),
    ],
)  # fmt: skip
def test_parameter_that_changes_the_meaning_is_refused(query, says):
    """A parameter that is unknown or cannot be honoured is refused with a remedy and without the address."""
    with pytest.raises(SettingsError) as caught:
        ServerAddress.from_url(f"{_URL}?{query}")

    assert caught.value.message.startswith(says)
    assert _SECRET not in caught.value.message


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ann:12/x?{_SECRET}=1@db.test/app",
        f"postgresql://ann:12/x?a=1&{_SECRET}@db.test/app",
        f"postgresql://db.test/app?{_SECRET}%20=1",
        f"postgresql://db.test/app?a=%zz&{_SECRET}",
        f"postgresql://db.test/app?user=ann&password=a&{_SECRET}=b&sslmode=require",
    ],
)
def test_rest_of_a_password_is_not_taken_for_a_parameter(url):
    """No part of a password whose characters are not escaped is shown, even if it ends up in the query."""
    with pytest.raises(SettingsError) as caught:
        ServerAddress.from_url(url)

    assert _SECRET not in caught.value.message


def test_question_mark_in_a_password_is_not_a_query():
    """A password may contain a question mark, as in libpq."""
    address = ServerAddress.from_url("postgresql://ann:a?schema=b@db.test/app?pgbouncer=true")

    assert address.parameters["password"] == "a?schema=b"
    assert address.ignored == ("pgbouncer",)


@pytest.mark.parametrize(
    "scheme", ["postgres", "postgresql", "postgresql+psycopg2", "postgresql+asyncpg", "postgres+pg"]
)
def test_schemes_of_a_server(tmp_path, scheme):
    """Every usual scheme names a server, and libpq gets its own."""
    settings = load(here=tmp_path, environ={}, database_url=f"{scheme}://ann:{_SECRET}@db.test/app")

    assert settings.postgres_url == f"postgresql://ann:{_SECRET}@db.test/app"
    assert ServerAddress.from_url(settings.postgres_url).location == "db.test/app"


def test_parameters_of_a_file(tmp_path):
    """Parameters for other drivers in the address of a SQLite file are named, and are not part of its path."""
    url = "sqlite+aiosqlite:///a.db?check_same_thread=false&timeout=30"

    settings = load(here=tmp_path, environ={}, database_url=url)

    assert settings.postgres_url is None
    assert settings.database == tmp_path / "a.db"
    assert settings.ignored_parameters == ("check_same_thread", "timeout")


def test_path_is_no_address(tmp_path):
    """A path without a scheme may contain a question mark."""
    settings = load(here=tmp_path, environ={}, database_url="a?mode=b.db")

    assert (settings.database, settings.ignored_parameters) == (tmp_path / "a?mode=b.db", ())


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite:///a.db?mode=ro", "The parameter mode in the database address cannot be honoured: Backstay opens"),
        ("sqlite:///a.db?nolock=1", "The parameter nolock in the database address cannot be honoured"),
        ("sqlite:///a.db?mod=ro", "The parameter mod in the database address is unknown; did you mean mode?"),
        ("sqlite:///?mode=memory", "The database address starts with sqlite://; give the path"),
        ("file:a.db?mode=ro", "The database address starts with file:; give the path"),
        ("prisma+postgres://a/?api_key=hunter2", "The database address starts with prisma+postgres://; give the path"),
    ],
)
def test_address_of_a_file_that_cannot_be_honoured(tmp_path, url, says):
    """A parameter that changes how a file is opened, and an invalid address of a file, are refused by name."""
    with pytest.raises(SettingsError) as caught:
        _ = load(here=tmp_path, environ={}, database_url=url).database

    assert caught.value.message.startswith(says)
    assert _SECRET not in caught.value.message
