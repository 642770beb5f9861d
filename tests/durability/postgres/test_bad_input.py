"""Mistakes in a server, its database or its address: each error is one line with a remedy, and never a password."""

import os
import re
import socket
import subprocess
import sys
from urllib.parse import urlsplit

import psycopg
import pytest

from backstay.cli.main import main
from backstay.errors import StoreDenied, StoreNotFound, StoreUnavailable
from backstay.storage.postgres import connection
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.errors import connection_error
from backstay.storage.postgres.schema_migration import migrations
from durability.postgres._tls_proxy import Encrypted
from support.harness.commands import in_process
from support.stores import pgbouncer, postgres
from support.stores.kinds import DATABASES, require

_SECRET = "sesame"
_KNOWN = migrations()[-1][0]


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    postgres.server_of_ours()  # roles are created there, and its configuration is known
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("BACKSTAY_", "PG", "BACKUP_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def run_command(monkeypatch, capfd):
    """A function that runs a command on the database of a URL, and returns its status and its one line of output."""

    def command(url: str, *words: str, **environment: str) -> tuple[int, str]:
        monkeypatch.setenv("BACKSTAY_DATABASE_URL", url)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        code = main(words or ("jobs",))
        out, err = capfd.readouterr()
        for secret in (_SECRET, urlsplit(url).password or _SECRET):
            assert secret not in out + err
        assert len(err.splitlines()) == 1, err
        assert err.startswith("Error: "), err
        return code, err.removeprefix("Error: ").strip()

    return command


@pytest.fixture
def ask_server(url):
    def ask(statement: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)

    return ask


@pytest.fixture
def role(url, ask_server):
    """A function that creates a role with the given attributes, and returns its URL of the database."""
    names = []

    def make(name: str, attributes: str = "LOGIN") -> str:
        ask_server(f"CREATE ROLE {name} PASSWORD '{_SECRET}' {attributes}")
        names.append(name)
        address = urlsplit(url)
        return address._replace(netloc=f"{name}:{_SECRET}@{address.hostname}:{address.port}").geturl()

    yield make
    for name in names:
        ask_server(f"DROP OWNED BY {name}; DROP ROLE {name}")


def at(url: str, *, user: str = "", password: str = _SECRET, host: str = "", database: str = "") -> str:
    address = urlsplit(url)
    netloc = f"{user or address.username}:{password}@{host or f'{address.hostname}:{address.port}'}"
    return address._replace(netloc=netloc, path=f"/{database}" if database else address.path).geturl()


# -- refused logins ----------------------------------------------------------------------------------------------------


def test_wrong_password(run_command, url):
    """A wrong password is reported with the setting to check."""
    code, line = run_command(at(url))

    assert code == 1
    assert line.endswith("does not let 'postgres' in; check user and password in BACKSTAY_DATABASE_URL")


def test_no_password(run_command, url):
    """A missing password is reported like a wrong one."""
    assert "does not let 'postgres' in" in run_command(url.replace(f":{urlsplit(url).password}@", "@"))[1]


def test_unknown_user(run_command, url):
    """An unknown user is reported by name."""
    assert "does not let 'stranger' in" in run_command(at(url, user="stranger"))[1]


def test_role_that_may_not_log_in(run_command, role):
    """A role without the right to log in is reported by name."""
    assert "does not let 'backstay_no_login' in" in run_command(role("backstay_no_login", "NOLOGIN"))[1]


def test_role_that_may_not_connect(run_command, url, role, ask_server):
    """A role that may not connect to the database gets the statement that grants it."""
    name = urlsplit(url).path[1:]
    ask_server(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")

    line = run_command(role("backstay_barred"))[1]

    assert "the role 'backstay_barred' may not connect to the database; have another role grant it: " in line
    assert line.endswith(f'`GRANT CONNECT ON DATABASE "{name}" TO "backstay_barred"`')


def test_missing_database(run_command, url):
    """A missing database is reported by name, with what to do."""
    code, line = run_command(url.replace(urlsplit(url).path, "/nowhere"))

    assert code == 1
    assert line.startswith("There is no database 'nowhere' at ")
    assert line.endswith("create it, or name another in BACKSTAY_DATABASE_URL")


@pytest.mark.parametrize("words", [("migrate",), ("migrate", "--check")], ids=" ".join)
def test_no_right_to_make_the_schema(run_command, url, role, words):
    """A role that may not create the schema gets the statement that grants it."""
    code, line = run_command(role("backstay_small"), *words, BACKSTAY_SCHEMA="another")

    assert code == 1
    assert "the role 'backstay_small'" in line
    assert "have another role grant it: `GRANT CREATE ON DATABASE " in line


def test_no_right_to_the_tables(run_command, role):
    """A role without rights on the tables gets the statements that grant them."""
    line = run_command(role("backstay_small"))[1]

    assert "the role 'backstay_small' lacks a right on the schema backstay; have another role grant it: " in line
    assert "`GRANT USAGE ON SCHEMA backstay TO backstay_small; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL" in line


def test_who_only_reads_needs_no_more_than_that(role, ask_server, monkeypatch, capfd, tmp_path):
    """A role that may only read can run every command that only reads, and others name the missing privilege."""
    (tmp_path / "topics.csv").write_text("topic\ntea\n")
    monkeypatch.setenv("BACKSTAY_DATABASE_URL", role("backstay_reader"))
    ask_server("GRANT USAGE ON SCHEMA backstay TO backstay_reader")
    ask_server("GRANT SELECT ON ALL TABLES IN SCHEMA backstay TO backstay_reader")

    for words in ("jobs", "conversations list", "conversations export --all", "backups list"):
        assert main(words.split()) == 0, words
        assert "Error" not in capfd.readouterr().err
    code = main(["run", "topics.csv", "--model", "scripted"])

    assert code == 1
    last = capfd.readouterr().err.splitlines()[-1]
    assert "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA backstay TO backstay_reader" in last


def test_names_that_are_too_long_together(url, tmp_path, monkeypatch, capfd):
    """An id and an owner too long for an index of the server are refused with a remedy."""
    (tmp_path / "topics.csv").write_text("topic\ntea\n")
    name = "".join(chr(0x4E00 + 37 * number % 20_000) for number in range(512))  # nothing that could be compressed
    monkeypatch.setenv("BACKSTAY_DATABASE_URL", url)
    monkeypatch.setenv("BACKSTAY_OWNER", name[::-1])

    code = main(["run", "topics.csv", "--job", name, "--model", "scripted"])

    assert code == 1
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.endswith("the names in jobs_by_id are too long together; shorten the id or the owner")


def test_a_role_that_was_given_a_schema_needs_no_right_to_make_one(role, ask_server, monkeypatch, capfd):
    """A role that owns the schema migrates without the right to create one."""
    url = role("backstay_given")
    ask_server("CREATE SCHEMA given AUTHORIZATION backstay_given")
    monkeypatch.setenv("BACKSTAY_DATABASE_URL", url)
    monkeypatch.setenv("BACKSTAY_SCHEMA", "given")

    assert main(["migrate"]) == 0
    assert capfd.readouterr().out == f"{_KNOWN} migrations applied: schema 0 to {_KNOWN}.\n"


# -- what cannot be used -----------------------------------------------------------------------------------------------


def test_server_too_old(run_command, url, monkeypatch):
    """A server older than the oldest supported version is refused with both versions."""
    monkeypatch.setattr(connection, "MIN_VERSION", 99)

    code, line = run_command(url)

    assert code == 1
    assert re.search(r"runs PostgreSQL \d+; Backstay needs 99 or newer$", line)


@pytest.mark.parametrize("words", [("jobs",), ("migrate",), ("migrate", "--check")], ids=" ".join)
def test_read_only(run_command, role, words):
    """A database that its owner made read-only is refused, like a replica."""
    url = f"{role('backstay_reader')}?options=-cdefault_transaction_read_only%3Don"

    code, line = run_command(url, *words)

    assert code == 1
    assert "is read-only, perhaps a replica; name the primary server" in line


def test_replica(run_command):
    """A server that replicates another one is refused."""
    server = postgres.own_server()
    try:
        server.stop()
        (server.folder / "data" / "standby.signal").touch()
        server.start()

        for words in (("jobs",), ("migrate",)):
            code, line = run_command(server.url(), *words)

            assert code == 1
            assert "is read-only, perhaps a replica; name the primary server" in line
    finally:
        server.end()


def test_database_of_another_encoding(run_command, url, ask_server):
    """A database whose encoding is not UTF-8 is refused by a migration."""
    ask_server("CREATE DATABASE backstay_latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        assert "stores text as LATIN1" in run_command(url.replace(urlsplit(url).path, "/backstay_latin"), "migrate")[1]
    finally:
        ask_server("DROP DATABASE backstay_latin")


def test_nothing_migrated(run_command, url):
    """A schema without tables is refused with the command that migrates it."""
    code, line = run_command(url, BACKSTAY_SCHEMA="another")

    assert code == 1
    assert "has no Backstay tables in the schema 'another'; run `backstay migrate`" in line


@pytest.mark.parametrize("words", [("jobs",), ("migrate",), ("migrate", "--check")], ids=" ".join)
@pytest.mark.parametrize(
    "change, code, says",
    [
        ("DROP TABLE backstay.attempts", 1, "the schema 'backstay' lacks attempts; restore it whole"),
        ("DROP VIEW backstay.backup_exports", 1, "lacks backup_exports"),
        (
            "INSERT INTO backstay.migrations VALUES (99)",
            1,
            f"written by a newer Backstay (schema 99, this one knows {_KNOWN})",
        ),
        ("ALTER TABLE backstay.migrations RENAME number TO n", 2, "is another program's"),
    ],
    ids=["half a schema", "without a view", "newer", "another program's"],
)
def test_schema_that_cannot_be_used(run_command, url, ask_server, words, change, code, says):
    """An unusable schema is refused with a message that says why."""
    ask_server(change)

    assert run_command(url, *words)[0] == code
    assert says in run_command(url, *words)[1]


@pytest.mark.parametrize("change", ["TRUNCATE backstay.migrations", "DROP TABLE backstay.migrations"])
def test_tables_without_a_record_of_them(run_command, url, ask_server, change):
    """A schema with such tables but no record of migrations is left alone."""
    ask_server(change)

    assert "run `backstay migrate`" in run_command(url)[1]
    assert "already, but no record of a migration" in run_command(url, "migrate")[1]
    assert "already, but no record of a migration" in run_command(url, "migrate", "--check")[1]


@pytest.mark.parametrize("schema", ["pg_mine", "information_schema", "Mine", "a-b"])
def test_schema_whose_name_is_not_allowed(run_command, url, schema):
    """An invalid schema name is a usage error."""
    assert run_command(url, BACKSTAY_SCHEMA=schema)[0] == 2


def test_schema_named_as_a_word_of_sql(run_command, url):
    """A schema name that PostgreSQL reserves is refused by name."""
    code, line = run_command(url, "migrate", BACKSTAY_SCHEMA="user")

    assert code == 2
    assert line == "PostgreSQL keeps the name 'user' for itself; choose another with BACKSTAY_SCHEMA"


# -- addresses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://ann:{_SECRET}%zz@127.0.0.1/x",
        f"postgresql://ann:{_SECRET}/more@127.0.0.1/x",
        f"postgresql://ann:12/{_SECRET}@127.0.0.1/x",
        f"postgresql://ann:more@{_SECRET}@127.0.0.1/x",
        f"postgresql://ann:{_SECRET}@127.0.0.1:99999/x",
        f"postgresql://ann:{_SECRET}@127.0.0.1:port/x",
        f"postgres://ann:{_SECRET}@127.0.0.1/x?password",
    ],
)
def test_address_that_cannot_be_read(run_command, address):
    """The error for an unreadable address shows nothing of it, since the usual reason is a mark in the password."""
    code, line = run_command(address)

    assert code == 2
    assert line.startswith("The database address cannot be read; it looks like postgresql://USER:PASSWORD@HOST")


@pytest.mark.parametrize(
    "more, says",
    [
        ("connect_timeout=soon", "connect_timeout in the database address is no number"),
        ("nonsense=1", "The parameter nonsense in the database address is unknown"),
        ("schema=public", "The parameter schema in the database address cannot be honoured"),
        ("sslmode=maybe", 'invalid sslmode value: "maybe"'),
        ("options=-cnonsense%3D1", 'unrecognized configuration parameter "nonsense"'),
        ("service=nowhere", 'definition of service "nowhere" not found'),
    ],
)
def test_address_that_asks_for_what_there_is_not(run_command, url, more, says):
    """An address with unusable parameters is refused with the reason."""
    code, line = run_command(f"{url}?{more}")

    assert code == 2
    assert says in line


def test_address_of_another_driver(url, monkeypatch, capfd):
    """An address as Prisma and SQLAlchemy write it is used, with a warning that names what was ignored."""
    command = in_process(capfd)
    written = url.replace("postgresql://", "postgresql+psycopg2://", 1)
    monkeypatch.setenv("BACKSTAY_DATABASE_URL", f"{written}?pgbouncer=true&connection_limit=5")

    listed, checked = command("jobs", "--json"), command("doctor")

    assert listed.code == 0
    assert listed.err.splitlines() == [
        "Warning: address parameters ignored parameters=pgbouncer, connection_limit reason=they are for other drivers"
    ]
    assert "ignored in the address, because they are for other drivers: pgbouncer, connection_limit" in checked.out


@pytest.mark.parametrize(
    "host, says",
    [
        ("127.0.0.1:1", "cannot be reached; check that the server runs, then try again"),
        ("nowhere.invalid", "The host of nowhere.invalid/x is not known; check BACKSTAY_DATABASE_URL"),
    ],
)
def test_server_that_is_not_there(run_command, host, says):
    """An unreachable server is reported in one line without the password."""
    code, line = run_command(f"postgresql://ann:{_SECRET}@{host}/x")

    assert code == 1
    assert line.endswith(says)


def test_server_that_says_nothing(run_command, url):
    """A host behind a firewall that drops all packets is reported as unreachable."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        host = f"127.0.0.1:{mute.getsockname()[1]}"

        assert "cannot be reached" in run_command(f"postgresql://ann:{_SECRET}@{host}/x?connect_timeout=2")[1]


def test_without_the_package(tmp_path):
    """Without psycopg a SQLite file can be used, and naming a server says how to install it."""
    (tmp_path / "psycopg.py").write_text("raise ImportError('no psycopg')\n")
    url = f"postgresql://ann:{_SECRET}@127.0.0.1/x"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "BACKSTAY_DATABASE_URL": url}

    for words in (("jobs",), ("migrate",), ("doctor",)):
        ended = subprocess.run(
            [sys.executable, "-m", "backstay", *words],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

        output = ended.stdout + ended.stderr
        assert ended.returncode == (1 if words == ("doctor",) else 2), output
        assert "add them with `pip install '.[postgres]'` in a checkout of Backstay" in output
        assert _SECRET not in output
        assert "Traceback" not in output


# -- encryption --------------------------------------------------------------------------------------------------------


def test_server_without_encryption(run_command, url):
    """A server without encryption is refused if the address requires it."""
    code, line = run_command(f"{url}?sslmode=verify-full")

    assert code == 2
    assert line.endswith(
        "no encrypted connection could be made (server does not support SSL, but SSL was required); "
        "see sslmode and sslrootcert in the address"
    )


def test_certificate_that_no_one_signed(run_command, url, tmp_path):
    """An untrusted certificate and a missing root certificate are usage errors that name the cause."""
    with Encrypted(url, tmp_path) as front:
        strict = f"{front.url}&sslmode=verify-full"
        (tmp_path / "other").mkdir()
        with Encrypted(url, tmp_path / "other") as another:
            wrong = run_command(f"{strict}&sslrootcert={another.certificate}")
        missing = run_command(f"{strict}&sslrootcert=/nowhere/root.pem")

    assert (wrong[0], missing[0]) == (2, 2)
    assert "certificate verify failed" in wrong[1]
    assert "root certificate file" in missing[1]


def test_certificate_of_another_host(run_command, url, tmp_path):
    """A certificate for another host is refused."""
    with Encrypted(url, tmp_path, name="db.example") as front:
        code, line = run_command(f"{front.url}&sslmode=verify-full&sslrootcert={front.certificate}")

    assert code == 2
    assert "does not match host name" in line


def test_certificate_that_is_trusted(url, tmp_path, monkeypatch, capfd):
    """A trusted certificate for the host is accepted."""
    with Encrypted(url, tmp_path) as front:
        monkeypatch.setenv("BACKSTAY_DATABASE_URL", f"{front.url}&sslmode=verify-full&sslrootcert={front.certificate}")

        assert main(["jobs"]) == 0
    assert capfd.readouterr().err == "No jobs.\n"


def test_encryption_that_breaks_may_go_well_next_time(run_command, url, tmp_path):
    """A connection lost during the TLS handshake counts as an outage, so that a job waits for the server."""
    with Encrypted(url, tmp_path, breaks=True) as front:
        code, line = run_command(f"{front.url}&sslmode=require")

    assert code == 1
    assert "cannot be reached" in line


# -- in words only, before there is a session --------------------------------------------------------------------------

_REACHED = 'connection failed: connection to server at "10.0.0.7", port 6432 failed: '


@pytest.mark.parametrize(
    "words, kind, says",
    [
        ("FATAL:  no more connections allowed (max_client_conn)", StoreUnavailable, "takes no more connections"),
        ("FATAL:  sorry, too many clients already", StoreUnavailable, "takes no more connections"),
        (
            "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
            StoreUnavailable,
            "takes no more connections",
        ),
        ("FATAL:  MaxClientsInSessionMode: max clients reached", StoreUnavailable, "takes no more connections"),
        ("FATAL:  Tenant or user not found", StoreDenied, "does not let 'ann' in"),
        ("FATAL:  no such user: ann", StoreDenied, "does not let 'ann' in"),
        ("FATAL:  SASL authentication failed", StoreDenied, "does not let 'ann' in"),
        ("FATAL:  no such database: app", StoreNotFound, "There is no database 'app'"),
        (
            "FATAL:  server login has been failing, try again later (server_login_retry)",
            StoreUnavailable,
            "accepts no connections at the moment (server login has been failing, try again later"
            " (server_login_retry))",
        ),
        ("FATAL:  the database system is starting up", StoreUnavailable, "(the database system is starting up)"),
        ("FATAL:  the database system is in recovery mode", StoreUnavailable, "in recovery mode"),
        ("SSL SYSCALL error: EOF detected", StoreUnavailable, "cannot be reached"),
        ("SSL error: unexpected eof while reading", StoreUnavailable, "cannot be reached"),
        ('FATAL:  password authentication failed for user "certificate verify failed"', StoreDenied, "does not let"),
        ("FATAL:  Passwort-Authentifizierung fehlgeschlagen", StoreUnavailable, "accepts no connections at the moment"),
    ],
)
def test_words_of_servers_and_poolers(words, kind, says):
    """Each text of a server or pooler is reported as what it is: a mistake to fix, or an outage to wait for."""
    address = ServerAddress.from_url(f"postgresql://ann:{_SECRET}@10.0.0.7:6432/app")

    error = connection_error(psycopg.OperationalError(_REACHED + words), address)

    assert type(error) is kind
    assert says in error.message
    assert "\n" not in error.message


_NO_ENTRY = 'FATAL:  no pg_hba.conf entry for host "10.0.0.9", user "ann", database "app", '
_WRONG_PASSWORD = 'FATAL:  password authentication failed for user "ann"'


@pytest.mark.parametrize(
    "parameters, attempts, says",
    [
        (
            "?sslmode=disable",
            [f"{_NO_ENTRY}no encryption"],
            "in without encryption; use sslmode=require in the address",
        ),
        (
            "",
            [f"{_NO_ENTRY}SSL encryption", f"{_NO_ENTRY}no encryption"],
            "in from this machine; ask its administrator",
        ),
        ("", [f"{_NO_ENTRY}no encryption"], "in from this machine; ask its administrator"),
        ("", [_WRONG_PASSWORD, f"{_NO_ENTRY}no encryption"], "in; check user and password"),
        ("?sslmode=allow", [f"{_NO_ENTRY}no encryption", _WRONG_PASSWORD], "in; check user and password"),
    ],
)
def test_encryption_is_asked_for_only_if_the_address_forbids_it(parameters, attempts, says):
    """A server that also refuses libpq's second attempt, without encryption, is reported with the actual cause."""
    address = ServerAddress.from_url(f"postgresql://ann:{_SECRET}@10.0.0.7:6432/app{parameters}")

    error = connection_error(psycopg.OperationalError("\n".join(_REACHED + words for words in attempts)), address)

    assert type(error) is StoreDenied
    assert says in error.message


# -- a pooler ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pooled(url):
    require(next(kind for kind in DATABASES if kind.name == "pgbouncer"))
    return pgbouncer.pooled(url)


def test_pooler_that_does_not_know_the_user(run_command, pooled):
    """A pooler's refusal of an unknown user is reported like the server's."""
    assert "does not let 'stranger' in" in run_command(at(pooled, user="stranger"))[1]


def test_pooler_with_another_password(run_command, pooled):
    """A pooler's refusal of a password is reported like the server's."""
    assert "does not let 'postgres' in" in run_command(at(pooled))[1]


def test_pooler_before_a_missing_database(run_command, pooled):
    """A missing database behind a pooler is reported by name."""
    assert "There is no database 'nowhere'" in run_command(pooled.replace(urlsplit(pooled).path, "/nowhere"))[1]
