"""Lines and turns that one SQL statement makes of several rows, with values of any type that SQLite allows."""

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from backstay.errors import StoreCorrupt
from backstay.library.selection import Selection
from backstay.storage.sql import conversation_records
from backstay.storage.sql.conversation_records import StoredColumns, find_by_keys
from backstay.storage.sql.selection_conditions import selection_values
from backstay.storage.sqlite import SqliteStore
from backstay.storage.sqlite.connection import connect
from backstay.storage.sqlite.queries import query
from backstay.storage.sqlite.schema_migration import prepare
from backstay.storage.sqlite.session import SqliteSession
from support.fakes.clock import MovableClock

_TEXT = some.text(some.characters(exclude_categories=["Cs"]), max_size=20)
_VALUE = (
    some.none() | _TEXT | some.binary(max_size=8) | some.integers(-(2**63), 2**63 - 1) | some.floats(allow_nan=False)
)
_NEEDED = _VALUE.filter(lambda value: value is not None)
_TURN = some.tuples(_VALUE, _NEEDED, _NEEDED, _VALUE | some.just('{"b":1,"a":0}'))


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    path = tmp_path_factory.mktemp("lines") / "library.db"
    prepare(path, create=True)
    connection = connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    yield SqliteSession(connection)
    connection.close()


_keys = count(1)


@settings(max_examples=200, deadline=None)
@given(some.lists(_VALUE, min_size=6, max_size=6), some.lists(_TURN, max_size=3))
def test_lines_and_turns_made_by_sql_equal_the_rows(session, columns, turns):
    """Lines and turns made by SQL equal the rows, for values of each type in each column, such as blobs and NUL."""
    key, connection = next(_keys), session.connection
    connection.execute(
        "INSERT INTO conversations VALUES (?, 'o', ?, ?, ?, ?, ?, ?, ?, '2025', x'00')", (key, f"c{key}", *columns)
    )
    for number, (turn_id, role, content, metadata) in enumerate(turns):
        sequence = number if number < 2 else 0.1 + number
        row = (key, sequence, "o", turn_id, role, content, metadata)
        connection.execute("INSERT INTO turns VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    connection.execute("UPDATE conversations SET updated_at = '2025' WHERE key = ? AND key % 2", (key,))

    assert find_by_keys(session, "o", [key], StoredColumns()) == conversation_records._from_values(
        session, "o", [key], StoredColumns()
    )
    stored = session.select_many("turns_as_stored", [(key,)])
    assert list(session.turns("o", [key])) == [(key, *values) for key, _, *values in stored]


def test_a_search_may_begin_while_another_is_read(session):
    """Two searches may be read from one connection at the same time."""
    insert = "INSERT INTO conversations VALUES (?, 'two', ?, 'found', NULL, '', NULL, NULL, NULL, '2025', '2025')"
    for key in (next(_keys), next(_keys)):
        session.connection.execute(insert, (key, f"search-{key}"))
    selection = Selection(search="found")
    values = selection_values("two", selection)

    first = session.stream("selected_conversation_keys", values, selection=selection)
    begun = [next(first)]
    second = session.rows("selected_conversation_keys", values, selection=selection)

    assert [*begun, *first] == second
    assert len(second) == 2


@pytest.mark.parametrize("column", ["content", "role", "id", "metadata", "sequence"])
def test_no_line_is_made_of_what_json_cannot_express(session, column):
    """No line is made by SQL for a turn with a blob, or a fractional sequence, which JSON cannot express."""
    key = next(_keys)
    session.connection.execute(
        "INSERT INTO conversations VALUES (?, 'o', ?, '', '', '', '', '', '', '', '')", (key, key)
    )
    session.connection.execute("INSERT INTO turns VALUES (?, 1, 'o', 't', 'user', 'text', NULL)", (key,))
    (row,) = session.lines("o", [key])
    assert row[0] == key

    value = "1.5" if column == "sequence" else "x'41'"
    session.connection.execute(f"UPDATE turns SET {column} = {value} WHERE conversation_key = ?", (key,))

    assert session.lines("o", [key]) is None


async def test_text_that_is_not_utf_8_is_reported(tmp_path):
    """A backup of text that is not UTF-8 raises StoreCorrupt, instead of writing a file that cannot be read."""
    path = tmp_path / "library.db"
    prepare(path, create=True)
    connection = connect(path)
    connection.execute(
        "INSERT INTO conversations VALUES (1, 'o', 'c', CAST(x'ff' AS TEXT), '', '', '', '', '', '', '')"
    )
    connection.close()
    store = SqliteStore(path=path, clock=MovableClock())
    await store.start(create=False)

    with pytest.raises(StoreCorrupt, match="text that is not UTF-8"):
        async with store.backups.creation.snapshot("o", Selection(everything=True)) as snapshot:
            _ = [chunk async for chunk in snapshot.chunks()]

    await store.stop()


def test_lines_come_in_order_without_being_sorted(session):
    """Lines are read in the order of the index, so that SQLite does not sort, and hold, all of them."""
    plan = session.connection.execute(f"EXPLAIN QUERY PLAN {query('conversation_lines')}", {"owner": "", "keys": "[]"})

    assert not [row for row in plan if "TEMP B-TREE" in row[3]]
