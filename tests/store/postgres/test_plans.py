"""Query plans: the server finds rows by index, whatever its statistics say about a table that has just grown."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from backstay.storage.postgres.queries import Statements
from backstay.storage.postgres.session import PostgresSession
from support.stores import postgres

_ITEMS = 20_000
_FILL = (
    """INSERT INTO backstay.items (job_key, position, owner, id, digest)
       SELECT 1, n, 'local', 'item-' || n, sha256(n::text::bytea) FROM generate_series(0, %s - 1) AS n""",
    """INSERT INTO backstay.item_inputs (job_key, position, owner, topic, parameters, line)
       SELECT 1, n, 'local', 'a topic', '{}', n FROM generate_series(0, %s - 1) AS n""",
    """INSERT INTO backstay.conversations (key, owner, id, created_at, updated_at)
       SELECT n, 'local', 'c-' || n, '', '' FROM generate_series(0, %s - 1) AS n""",
    """INSERT INTO backstay.turns (conversation_key, sequence, owner, role, content)
       SELECT n, 1, 'local', 'user', 'a text' FROM generate_series(0, %s - 1) AS n""",
    """INSERT INTO backstay.backup_items (backup_key, position, owner, id, conversation_key, digest, row_version)
       SELECT 1, n, 'local', 'c-' || n, n, '', '' FROM generate_series(0, %s - 1) AS n""",
)
_CLAIM = {"token": 1, "owner": "local", "job_key": 1, "now": 5, "latest": 9, "suspect_interruptions": 2, "alone": False}


class _Explained(PostgresSession):
    """A cursor that returns the plan of a statement, as rows of its nodes, instead of executing it."""

    def _text(self, *args: Any, **more: Any) -> str:
        return f"EXPLAIN (FORMAT JSON) {super()._text(*args, **more)}"

    def nodes(self, rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
        def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
            yield node
            for below in node.get("Plans", ()):
                yield from walk(below)

        [[[plan]]] = rows
        return list(walk(plan["Plan"]))


@pytest.fixture(scope="module", params=["never counted", "counted while empty", "counted"])
def session(request):
    """Large tables with missing, outdated or current statistics."""
    postgres.need_a_server()
    url = postgres.fresh_database()
    with psycopg.connect(url, autocommit=True) as connection:
        if request.param == "counted while empty":
            connection.execute("ANALYZE")
        for statement in _FILL:
            connection.execute(statement, (_ITEMS,))
        if request.param == "counted":
            connection.execute("ANALYZE")
        yield _Explained(connection, Statements("backstay"))
    postgres.drop_database(url)


@pytest.mark.parametrize(
    ("ask", "indexes"),
    [
        (lambda s: s.rows("claim_items", {**_CLAIM, "max_items": 256}), {"items_pending", "items_pkey"}),
        (
            lambda s: s.select_many("finish_items", [(n, 1, "completed", "c", 1, 0) for n in range(256)], 1, 1),
            {"items_pkey", "items_running"},
        ),
        (lambda s: s.select_many("inputs_at", [(n,) for n in range(256)], 1), {"item_inputs_pkey"}),
        (
            lambda s: s.select_many("items_with_ids", [(f"item-{n}",) for n in range(1_000)], 1),
            {"items_by_id", "item_inputs_pkey"},
        ),
        (
            lambda s: s.select_many("conversation_keys_by_id", [(f"c-{n}",) for n in range(256)], "local"),
            {"conversations_by_id"},
        ),
        (
            lambda s: s.select_many("conversations_as_stored", [(n,) for n in range(256)], "local"),
            {"conversations_pkey", "conversations_by_owner"},
        ),
        (
            lambda s: s.lines("local", range(256)),
            {"conversations_pkey", "conversations_by_owner", "turns_pkey"},
        ),
        (lambda s: s.select_many("turns_as_stored", [(n,) for n in range(256)]), {"turns_pkey"}),
        (lambda s: s.turns("local", range(256)), {"turns_pkey"}),
    ],
    ids=[
        "claim",
        "finish",
        "inputs",
        "ids",
        "conversations",
        "conversations as stored",
        "lines",
        "turns as stored",
        "turns",
    ],
)
def test_rows_are_found_by_their_keys(session, ask, indexes):
    """No statement scans a whole table to find some of its rows."""
    nodes = session.nodes(ask(session))

    assert {node["Index Name"] for node in nodes if "Index Name" in node} <= indexes
    assert not [node for node in nodes if node["Node Type"].endswith("Seq Scan")]
    by_owner = [node["Index Cond"] for node in nodes if node.get("Index Name") == "conversations_by_owner"]
    assert all("(key = " in condition for condition in by_owner)  # not all that one has


@pytest.mark.parametrize("name", ["backup_items_after", "backup_digests_after"])
def test_part_of_a_backup_is_not_sorted_out_of_the_whole(session, name):
    """Reading the next thousand rows of a backup does not sort all rows after them."""
    nodes = session.nodes(session.rows(name, {"key": 1, "owner": "local", "first": 5_000, "limit": 1_000}))

    assert {node["Index Name"] for node in nodes if "Index Name" in node} == {"backup_items_pkey"}
    conditions = [node["Index Cond"] for node in nodes if "Index Cond" in node]
    assert all("(\"position\" < '6000'" in condition for condition in conditions)
