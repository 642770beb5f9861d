"""The statements: one a file, used, the twins of those of SQLite, and fit for the schema."""

import re
from pathlib import Path

import psycopg
import pytest

import backstay
from backstay.library.selection import Selection
from backstay.storage.postgres.queries import Statements, query
from support import postgres

_SOURCE = Path(backstay.__file__).parent
_FILES = {file.stem: file for file in (_SOURCE / "storage" / "postgres" / "queries").glob("*.sql")}
_TWINS = {file.stem: file for file in (_SOURCE / "storage" / "sqlite" / "queries").glob("*.sql")}
_each = pytest.mark.parametrize("name", sorted(_FILES))
# There are the columns that a user has added, and where one writer at a time is enough nothing is held.
_OURS_ALONE = {name for name in _FILES if name.startswith("hold_")}
# What is asked of the original's tables, which are never in a file.
_ORIGINAL = {name for name in _FILES if name.startswith("original_")}
# What is asked of the catalogues, which are not alike.
_CATALOGUE = {
    "adopted_tables",
    "database_location",
    "table_named",
    "sequences_of",
    "table_names",
    "tables_without_rowid",
}


@pytest.fixture(scope="module")
def source():
    return "".join(file.read_text() for file in _SOURCE.rglob("*.py"))


@_each
def test_statement_is_used(source, name):
    """By its name, somewhere in the code."""
    assert f'"{name}"' in source


@_each
def test_statement_begins_with_what_it_does(name):
    """One line, for whoever reads a list of them."""
    assert re.match(r"-- \S.{12,}\n", _FILES[name].read_text())


def test_every_statement_has_its_twin():
    """A step names a statement, so that both databases need it; only a server has something to hold."""
    assert set(_FILES) - _OURS_ALONE - _CATALOGUE - _ORIGINAL == set(_TWINS) - _CATALOGUE


@_each
def test_every_name_is_qualified(name):
    """Nothing depends on a search path, which a session would have."""
    text = query(name)

    for table in ("meta", "conversations", "turns", "jobs", "workers", "items", "item_inputs", "attempts", "backups"):
        assert not re.search(rf"\b(FROM|JOIN|UPDATE|INTO|COPY)\s+{table}\b", text), table


@_each
def test_every_function_is_named_in_full(name):
    """One of somebody else's that takes exactly what is given would go before PostgreSQL's own."""
    text = Statements("backstay").text(name, Selection(search="x", ids=("a",)) if "{selected}" in query(name) else None)
    syntax = {"coalesce", "greatest", "nullif", "position"}
    text = re.sub(r"unnest\((?=%\(column0\)s::\w+\[\], )", "", text)  # of several arrays it is syntax, too

    assert set(re.findall(r"(?<![\w.\"])([a-z_]+)\(", text)) - syntax == set()


@pytest.fixture(scope="module")
def anywhere():
    """A database for all, since nothing is changed."""
    postgres.need_a_server()
    url = postgres.fresh_database()
    yield url
    postgres.drop_database(url)


@_each
def test_statement_fits_the_schema(anywhere, name):
    """The server can plan it as it is."""
    selection = Selection(ids=("a",), job_id="b", search="c", persona="d") if "{selected}" in query(name) else None
    text = Statements("backstay").text(name, selection, {"my column": "text"} if "{columns}" in query(name) else None)
    text = text.replace(', "my column"', "")
    if name in _ORIGINAL:  # its tables, and those of their columns that are there, are put in when they are known
        text = re.sub(r"\{\w+\}", "NULL::text", text.replace("{original}", "(VALUES (1))"))
    with psycopg.connect(anywhere) as connection:
        if text.startswith("COPY"):
            with connection.cursor().copy(text):
                pass
            return
        numbered = {key: f"${number}" for number, key in enumerate(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)), 1)}
        connection.execute(f"PREPARE trial AS {text % numbered}")


def test_statement_does_not_change_with_the_number_of_rows():
    """Rows are bound as one array a column."""
    text = Statements("backstay").text("finish_items")

    assert "unnest(%(column0)s::bigint[], %(column1)s::integer[]" in text
    assert "%(1)s" in text
    assert ":" not in text.replace("::", "")
