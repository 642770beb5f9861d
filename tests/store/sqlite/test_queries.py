"""The statements: each in its file, used, and fit for the schema."""

import re
from pathlib import Path

import apsw
import apsw.ext
import pytest

import backstay
from backstay.library.selection import Selection
from backstay.storage.sql.statement_files import PARTS
from backstay.storage.sqlite import queries
from backstay.storage.sqlite.connection import FUNCTIONS
from backstay.storage.sqlite.queries import query
from backstay.storage.sqlite.schema_migration import migrations
from backstay.storage.sqlite.session import SqliteSession

_SOURCE = Path(backstay.__file__).parent
_FOLDERS = ("sqlite", "sql")
_FILES = {file.stem for folder in _FOLDERS for file in (_SOURCE / "storage" / folder / "queries").glob("*.sql")}
_NAMES = _FILES - set(PARTS.values())
_each = pytest.mark.parametrize("name", sorted(_NAMES))
# They define several tables and indexes, and are executed by the tests of the text index.
_DEFINITIONS = {"create_text_index", "drop_text_index"}


@pytest.fixture(scope="module")
def schema():
    """A connection to an empty database of the latest schema."""
    connection = apsw.Connection(":memory:")
    for function in FUNCTIONS:
        connection.create_scalar_function(*function)
    for _, statements in migrations():
        connection.execute(statements)
    connection.execute(query("create_text_index"))
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def source():
    return "".join(file.read_text() for file in _SOURCE.rglob("*.py"))


@_each
def test_statement_is_used(source, name):
    """Every statement is named somewhere in the code."""
    assert f'"{name}"' in source


@pytest.mark.parametrize(
    "file", sorted((_SOURCE / "storage").glob("*/queries/*.sql")), ids=lambda file: f"{file.parts[-3]}-{file.stem}"
)
def test_statement_begins_with_what_it_does(file):
    """The first line of a file is a comment that says what the statement does, or between which states it moves."""
    assert re.match(r"-- \S.{12,}\n", file.read_text())


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("claim_items", "items_pending"),
        ("next_due", "items_pending"),
        ("interrupt_items", "items_running"),
        ("interrupt_attempts", "items_running"),
        ("failures", "items_failed"),
        ("failed_to_pending", "items_failed"),
    ],
)
def test_items_in_one_state_are_found_without_looking_at_all(schema, name, index):
    """Items in one state are found by the index of that state, without reading the other items of the job."""
    values = dict.fromkeys(re.findall(r":(\w+)", query(name)))

    plan = [row[3] for row in schema.execute(f"EXPLAIN QUERY PLAN {query(name)}", values)]

    assert any(f"USING INDEX {index} " in step for step in plan), plan
    assert not any(step.endswith("items USING PRIMARY KEY (job_key=?)") for step in plan)


def test_conditions_of_chosen_ids_are_checked_one_by_one(schema):
    """The condition of chosen ids is looked up once for each of them, whatever number of conversations meets it."""
    text = queries.selecting_query("still_selected", Selection(ids=("a", "b"), max_turns=2))

    plan = [row[3] for row in schema.execute(f"EXPLAIN QUERY PLAN {text}", dict.fromkeys(re.findall(r":(\w+)", text)))]

    assert any("conversation_index USING PRIMARY KEY (owner=? AND key=?)" in step for step in plan), plan
    assert any(step.endswith("conversations_by_id (owner=? AND id=?)") for step in plan), plan


@pytest.mark.parametrize("name", sorted(_NAMES - _DEFINITIONS))
def test_statement_fits_the_schema(schema, name):
    """Each file holds one statement, which SQLite can prepare."""
    text = queries._expand_rows(name, 3)
    for placeholder in ("{selected}", "{selected_in_range}", "{matching_in_range}", "{matching}", "{scan}"):
        text = text.replace(placeholder, "")

    info = apsw.ext.query_info(schema, text, explain=True)

    assert not info.query_remaining
    assert info.explain


@_each
def test_values_are_bound_by_name(name):
    """Values are bound by name, except in a statement over many rows: there all are bound by number."""
    named, numbered = re.search(r":[a-z_]+\b", re.sub(r"\{.*?\}", "", query(name))), "?" in query(name)

    assert not (named if "{rows:" in query(name) else numbered)


def test_name_that_is_no_file_is_an_error():
    """A misspelt name raises an error."""
    with pytest.raises(FileNotFoundError):
        query("no_such_statement")


# -- rows ------------------------------------------------------------------------------------------


@pytest.fixture
def memory(monkeypatch):
    """A table, and statements over it."""
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE notes (job, number, name)")
    texts = {
        "insert": "INSERT INTO notes (job, number, name) {rows:bigint,bigint,text}",
        "rename": "WITH new (number, name) AS ({rows:bigint,text})"
        " UPDATE notes SET name = new.name FROM new WHERE notes.job = ?1 AND notes.number = new.number",
        "find": "WITH requested (number) AS ({rows:bigint})"
        " SELECT notes.number, name FROM requested CROSS JOIN notes USING (number) WHERE job = ?1",
    }
    monkeypatch.setattr(queries, "query", texts.__getitem__)
    queries._expand_rows.cache_clear()
    yield connection
    queries._expand_rows.cache_clear()
    connection.close()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 64, 1_000, 5_003])
def test_any_number_of_rows_goes_in(memory, count):
    """Any number of rows is inserted in their order, each once."""
    rows = [(1, number, str(number)) for number in range(count)]

    assert SqliteSession(memory).execute_many("insert", rows) == count

    assert memory.execute("SELECT job, number, name FROM notes ORDER BY rowid").fetchall() == rows


@pytest.mark.parametrize("count", [1, 5, 5_003])
def test_fixed_values_go_with_every_piece(memory, count):
    """Fixed values are bound in every piece, and the number of changed rows of all pieces is returned."""
    SqliteSession(memory).execute_many("insert", [(job, number, "old") for job in (1, 2) for number in range(count)])

    changed = SqliteSession(memory).execute_many(
        "rename", [(number, f"new {number}") for number in range(count + 10)], 2
    )

    assert changed == count
    assert memory.execute("SELECT count(*) FROM notes WHERE name = 'old' AND job = 1").get == count


@pytest.mark.parametrize("count", [0, 1, 5, 5_003])
def test_rows_are_found(memory, count):
    """A query over rows returns what it finds in all pieces."""
    SqliteSession(memory).execute_many("insert", [(1, number, str(number)) for number in range(count)])

    rows = SqliteSession(memory).select_many("find", [(number,) for number in range(count + 3)], 1)

    assert sorted(rows) == [(number, str(number)) for number in range(count)]


def test_few_different_statements_are_prepared(memory):
    """Pieces are powers of two, and no statement is too long for the cache of prepared statements."""
    lengths = set()
    memory.exec_trace = lambda cursor, text, bindings: lengths.add(len(text)) or True

    for count in range(1, 300):
        SqliteSession(memory).execute_many("insert", [(1, 2, 3)] * count)

    assert len(lengths) <= 9
    assert max(lengths) <= 16_384
