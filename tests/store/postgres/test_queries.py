"""The statements: one a file, used, in two wordings only where the databases differ, and fit for the schema."""

import re
from pathlib import Path

import psycopg
import pytest

import backstay
from backstay.library.selection import Selection
from backstay.storage.postgres.queries import Statements, query
from backstay.storage.sql.statement_files import PARTS
from backstay.storage.sqlite.queries import query as sqlite_query
from support.stores import postgres

_SOURCE = Path(backstay.__file__).parent
_STORAGE = _SOURCE / "storage"


def _names(folder):
    return {file.stem for file in (_STORAGE / folder / "queries").glob("*.sql")}


_NAMES = (_names("sql") | _names("postgres")) - set(PARTS.values())
_each = pytest.mark.parametrize("name", sorted(_NAMES))
# They define indexes, and are executed by the tests of the text index.
_DEFINITIONS = {"create_text_index", "drop_text_index"}
_SELECTION = Selection(
    ids=("a",), job_id="b", search="c", persona="d", topic_contains="e", model="f", has_tools=True, import_id="last"
)
# SQLite has one writer at a time, so that it needs no locks.
_LOCKS = {name for name in _names("postgres") if name.startswith("lock_")} | {"end_session_of_worker"}
# The original library's tables are never in a file.
_LEGACY = {name for name in _names("postgres") if name.startswith("legacy_")}
# The two databases have different catalogues.
_CATALOGUE = {
    "adopted_tables",
    "database_identity",
    "missing_privileges",
    "table_by_id",
    "sequences_of",
    "table_names",
    "tables_without_rowid",
}
# PostgreSQL deletes a text of the text index with its entry, and leaves no trace.
_PURGE = {"remove_texts", "mark_removed_texts", "begin_purge", "purge_texts", "end_purge", "count_changes"}


@pytest.fixture(scope="module")
def source():
    return "".join(file.read_text() for file in _SOURCE.rglob("*.py"))


@_each
def test_statement_is_used(source, name):
    """Every statement is named somewhere in the code."""
    assert f'"{name}"' in source


def test_every_statement_exists_for_both_databases():
    """A step names a statement, and a database finds it in its own folder or in the shared one."""
    assert _names("postgres") - _LOCKS - _CATALOGUE - _LEGACY == _names("sqlite") - _CATALOGUE - _PURGE
    assert not _names("sql") & (_CATALOGUE | _LOCKS | _LEGACY | _PURGE)


@pytest.mark.parametrize("name", sorted(_names("postgres") & _names("sqlite")))
def test_statements_of_one_wording_are_shared(name):
    """Two files of one name, one for each database, are executed as different statements."""
    postgres_text, sqlite_text = (" ".join(text.split()) for text in (query(name), sqlite_query(name)))

    assert postgres_text.replace("{schema}", "main") != re.sub(r"\?(\d)", r":\1", sqlite_text)


@pytest.mark.parametrize("name", sorted(_names("sql")))
def test_a_shared_statement_is_not_hidden(name):
    """A shared statement is executed by at least one database, and a database's own wording of it differs from it."""
    shared = (_STORAGE / "sql" / "queries" / f"{name}.sql").read_text().split()[1:]
    own = [folder for folder in ("sqlite", "postgres") if name in _names(folder)]

    assert len(own) < 2
    for folder in own:
        assert (_STORAGE / folder / "queries" / f"{name}.sql").read_text().split()[1:] != shared


@_each
def test_every_name_is_qualified(name):
    """Every name is qualified by its schema, so that nothing depends on the search path."""
    text = query(name)

    for table in ("meta", "conversations", "turns", "jobs", "workers", "items", "item_inputs", "attempts", "backups"):
        assert not re.search(rf"\b(FROM|JOIN|UPDATE|INTO|COPY)\s+{table}\b", text), table


@_each
def test_every_function_is_named_in_full(name):
    """Every function is qualified by pg_catalog, so that no other function of that name can take its place."""
    text = Statements("backstay").text(name, Selection(search="x", ids=("a",)) if "{selected" in query(name) else None)
    syntax = {"coalesce", "greatest", "nullif", "position"}
    text = re.sub(r"unnest\((?=%\(column0\)s::\w+\[\], )", "", text)  # of several arrays it is syntax, too

    assert set(re.findall(r"(?<![\w.\"])([a-z_]+)\(", text)) - syntax == set()


@pytest.fixture(scope="module")
def anywhere():
    """A database that all tests share, since none changes it."""
    postgres.need_a_server()
    url = postgres.fresh_database()
    yield url
    postgres.drop_database(url)


@pytest.mark.parametrize("name", sorted(_NAMES - _DEFINITIONS))
def test_statement_fits_the_schema(anywhere, name):
    """The server can plan every statement."""
    is_selecting = any(placeholder in query(name) for placeholder in ("{selected}", "{matching}"))
    selection = _SELECTION if is_selecting else None
    text = Statements("backstay").text(name, selection, {"my column": "text"} if "{columns}" in query(name) else None)
    text = text.replace(', "my column"', "")
    if name in _LEGACY:  # its tables, and those of their columns that are there, are put in when they are known
        text = re.sub(r"\{\w+\}", "NULL::text", text.replace("{original}", "(VALUES (1))"))
    with psycopg.connect(anywhere) as connection:
        if text.startswith("COPY"):
            with connection.cursor().copy(text):
                pass
            return
        numbered = {key: f"${number}" for number, key in enumerate(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)), 1)}
        connection.execute(f"PREPARE trial AS {text % numbered}")


def test_statement_does_not_change_with_the_number_of_rows():
    """The text of a statement is the same for any number of rows, which are bound as arrays."""
    text = Statements("backstay").text("finish_items")

    assert "unnest(%(column0)s::bigint[], %(column1)s::integer[]" in text
    assert "%(1)s" in text
    assert ":" not in text.replace("::", "")
