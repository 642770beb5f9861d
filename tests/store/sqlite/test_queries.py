"""The statements: one a file, used, and fit for the schema."""

import re
from pathlib import Path

import apsw
import apsw.ext
import pytest

import backstay
from backstay.storage.sqlite import queries
from backstay.storage.sqlite.migrate import migrations
from backstay.storage.sqlite.queries import execute_rows, query, select_rows

_SOURCE = Path(backstay.__file__).parent
_FILES = sorted((_SOURCE / "storage" / "sqlite" / "queries").glob("*.sql"))
_each = pytest.mark.parametrize("name", [file.stem for file in _FILES])


@pytest.fixture(scope="module")
def schema():
    """A connection to an empty database of the latest schema."""
    connection = apsw.Connection(":memory:")
    for _, statements in migrations():
        connection.execute(statements)
    yield connection
    connection.close()


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
    first = query(name).splitlines()[0]

    assert re.fullmatch(r"-- \S.*", first)
    assert len(first) > 15


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
    """A job may have a million items, and these are asked for while its workers wait."""
    values = dict.fromkeys(re.findall(r":(\w+)", query(name)))

    plan = [row[3] for row in schema.execute(f"EXPLAIN QUERY PLAN {query(name)}", values)]

    assert any(f"USING INDEX {index} " in step for step in plan), plan
    assert "SEARCH items USING PRIMARY KEY (job_key=?)" not in plan


@_each
def test_statement_fits_the_schema(schema, name):
    """It can be prepared as it is, and there is one in the file."""
    text = re.sub(r"\{rows:(\d+)\+?\}", lambda match: f"({','.join('?' * int(match[1]))})", query(name))
    text = text.replace("{selected}", "").replace("{columns}", "")

    found = apsw.ext.query_info(schema, text, explain=True)

    assert not found.query_remaining
    assert found.explain


@_each
def test_statement_is_named_by_its_parameters(name):
    """Named ones, but where rows are put in: those come after numbered ones."""
    text = re.sub(r"--.*", "", query(name))

    if "{rows:" in text:
        assert not re.search(r":[a-z_]+\b(?!\})", re.sub(r"\{rows:\d+\}", "", text))
    else:
        assert "?" not in text


def test_name_that_is_no_file_is_an_error():
    """A slip of the pen is found by the first test that comes by."""
    with pytest.raises(FileNotFoundError):
        query("no_such_statement")


# -- rows ------------------------------------------------------------------------------------------


@pytest.fixture
def memory(monkeypatch):
    """A table, and statements over it."""
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE notes (job, number, name)")
    texts = {
        "insert": "INSERT INTO notes (job, number, name) VALUES {rows:3}",
        "rename": "WITH job (key) AS (VALUES (?1)), new (number, name) AS (VALUES {rows:2})"
        " UPDATE notes SET name = new.name FROM job, new WHERE notes.job = job.key AND notes.number = new.number",
        "find": "WITH asked (job) AS (VALUES (?1)), wanted (number) AS (VALUES {rows:1})"
        " SELECT notes.number, name FROM asked CROSS JOIN wanted JOIN notes USING (job, number)",
    }
    monkeypatch.setattr(queries, "query", texts.__getitem__)
    queries._expanded.cache_clear()
    yield connection
    queries._expanded.cache_clear()
    connection.close()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 64, 1_000, 5_003])
def test_any_number_of_rows_goes_in(memory, count):
    """In their order, each once."""
    rows = [(1, number, str(number)) for number in range(count)]

    assert execute_rows(memory, "insert", rows) == count

    assert memory.execute("SELECT job, number, name FROM notes ORDER BY rowid").fetchall() == rows


@pytest.mark.parametrize("count", [1, 5, 5_003])
def test_fixed_values_go_with_every_piece(memory, count):
    """And what is returned is how many rows were changed, over all pieces."""
    execute_rows(memory, "insert", [(job, number, "old") for job in (1, 2) for number in range(count)])

    changed = execute_rows(memory, "rename", [(number, f"new {number}") for number in range(count + 10)], 2)

    assert changed == count
    assert memory.execute("SELECT count(*) FROM notes WHERE name = 'old' AND job = 1").get == count


@pytest.mark.parametrize("count", [0, 1, 5, 5_003])
def test_rows_are_found(memory, count):
    """All that are there, over all pieces."""
    execute_rows(memory, "insert", [(1, number, str(number)) for number in range(count)])

    found = select_rows(memory, "find", [(number,) for number in range(count + 3)], 1)

    assert sorted(found) == [(number, str(number)) for number in range(count)]


def test_few_different_statements_are_prepared(memory):
    """Pieces are powers of two, and no statement is too long to be kept."""
    lengths = set()
    memory.exec_trace = lambda cursor, text, bindings: lengths.add(len(text)) or True

    for count in range(1, 300):
        execute_rows(memory, "insert", [(1, 2, 3)] * count)

    assert len(lengths) <= 9
    assert max(lengths) <= 16_384
