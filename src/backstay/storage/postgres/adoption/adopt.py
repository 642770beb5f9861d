"""Adopting, and taking it back: each in one transaction, whole or not at all."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from psycopg.types.json import Jsonb

from backstay.errors import CannotAdopt
from backstay.library.adoption import (
    CONVERSATION_NAMES,
    TURN_NAMES,
    AdoptedTable,
    AdoptionRequest,
    AdoptionResult,
    UnadoptResult,
)
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.adoption import ddl, preflight, row_security, side_tables, status
from backstay.storage.postgres.adoption.catalog import UserColumn, UserTable, find, keys_between
from backstay.storage.postgres.adoption.ddl import GeneratedViews
from backstay.storage.postgres.adoption.mapping import TableMapping, map_columns
from backstay.storage.postgres.adoption.status import PLACE, PriorAdoption
from backstay.storage.postgres.connection import SETTINGS, check_server, connect
from backstay.storage.postgres.errors import translate_errors
from backstay.storage.postgres.migrate import hold_schema, refuse_under_a_worker, refuse_unmigrated
from backstay.storage.postgres.queries import quoted
from backstay.storage.postgres.session import Connection
from backstay.storage.sql.cascade.tables import BUILT_IN_TABLES, CONVERSATIONS, TURNS

_PATIENCE = "10s"
"""How long we wait for programs of theirs that hold their tables, which wait for us meanwhile."""

_OTHERWISE = "Tables are adopted already, in another way; `backstay adopt --undo` first"


def check(address: ServerAddress, schema: str, wanted: AdoptionRequest, owner: str) -> AdoptionResult:
    """Say what adopting would come to. Nothing is written. Raises as `adopt`."""
    with _transaction(address, schema, "READ ONLY") as connection:
        before, mapped = _mapped(connection, address, schema, wanted, owner)
        if before is None:
            _refuse_own(connection, schema)
        return _told(connection, mapped, before)


def adopt(address: ServerAddress, schema: str, wanted: AdoptionRequest, owner: str) -> AdoptionResult:
    """Put their tables in the place of ours. Twice is safe, and so are many at once.

    Raises:
        CannotAdopt: tables or columns do not fit, or our own are not empty.
        StoreDenied: the tables are somebody else's.
        SchemaOutdated: a worker is on it, or it is not migrated.
        StorageError: it cannot be done there.
    """
    with _transaction(address, schema, "") as connection:
        hold_schema(connection, schema)
        before, mapped = _mapped(connection, address, schema, wanted, owner)
        if before is not None:
            return _again(connection, mapped, schema, before)
        _refuse_own(connection, schema)
        refuse_under_a_worker(connection, address, schema, "cannot be changed so")
        for name in BUILT_IN_TABLES:
            connection.execute(f"ALTER TABLE {schema}.{name} RENAME TO own_{name}")
        made = GeneratedViews.from_mapping(connection, mapped, schema)
        for statement in side_tables.make(mapped, schema):
            connection.execute(statement)
        connection.execute(side_tables.add_missing(mapped, schema))
        for statement in made.statements:
            connection.execute(statement)
        connection.execute(ddl.new_id(mapped, schema))
        row_security.guard(connection, mapped, schema)
        _note(connection, schema, mapped, made)
        if _count(connection, mapped.conversations):
            # Of an empty table the planner is to know nothing, rather than that it is empty.
            connection.execute(f"ANALYZE {schema}.adopted_conversations")
        return _told(connection, mapped, None)


def undo(address: ServerAddress, schema: str, *, is_check: bool = False) -> UnadoptResult:
    """Remove what adopting has made; their tables stay as they are. Twice is safe, and so is it without the tables.

    Raises:
        CannotAdopt: something else is built upon our views, or a delete has not come to its end.
        SchemaOutdated: a worker is on it, or it is not migrated.
    """
    with _transaction(address, schema, "READ ONLY" if is_check else "") as connection:
        if not is_check:
            hold_schema(connection, schema)
        refuse_unmigrated(connection, address, schema, without=frozenset(BUILT_IN_TABLES))
        given_back = status.given_back(connection, schema)
        if is_check or given_back.is_empty:
            return given_back
        refuse_under_a_worker(connection, address, schema, "cannot be changed so")
        if status.has_views(connection, schema):  # else nothing will finish anything
            _refuse_unfinished(connection, schema)
        ddl.drop(connection, schema)
        # Turns first: their policy reads the other table.
        connection.execute(f"DROP TABLE IF EXISTS {schema}.adopted_turns")
        connection.execute(f"DROP TABLE {schema}.adopted_conversations")
        connection.execute(f"DELETE FROM {schema}.adopted")
        for name in BUILT_IN_TABLES:
            connection.execute(f"ALTER TABLE {schema}.own_{name} RENAME TO {name}")
        return given_back


@contextmanager
def _transaction(address: ServerAddress, schema: str, how: str) -> Iterator[Connection]:
    with translate_errors(address, schema), connect(address) as connection:
        check_server(connection, address)
        with connection.transaction():
            if how:
                connection.execute(f"SET TRANSACTION {how}")
            connection.execute(SETTINGS)
            connection.execute(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
            yield connection


def _mapped(
    connection: Connection, address: ServerAddress, schema: str, wanted: AdoptionRequest, owner: str
) -> tuple[PriorAdoption | None, TableMapping]:  # fmt: skip
    """Return how tables are adopted already, and which of their columns is which; the same again, if they are."""
    refuse_unmigrated(connection, address, schema)
    conversations = find(connection, wanted.conversations, schema)
    turns = find(connection, wanted.turns, schema)
    # From here on everything is named in full.
    connection.execute("SET LOCAL search_path = ''")
    conversations, turns = find(connection, conversations.place, schema), find(connection, turns.place, schema)
    before = status.prior_adoption(connection, schema)
    if before is not None:
        if before.places != (conversations.told, turns.told):
            raise CannotAdopt(_OTHERWISE)
        wanted, owner = before.wanted(wanted), before.owner
    mapped = map_columns(wanted, conversations, turns, keys_between(connection, turns, conversations), owner)
    if before is not None and before.asked != _asked(mapped):
        raise CannotAdopt(_OTHERWISE)
    # In one order, so that the same is made in the same words.
    return before, replace(
        mapped,
        of_conversations=_in_order(mapped.of_conversations, CONVERSATION_NAMES),
        of_turns=_in_order(mapped.of_turns, TURN_NAMES),
    )


def _in_order(found: Mapping[str, UserColumn], names: Sequence[str]) -> dict[str, UserColumn]:
    return {name: found[name] for name in names if name in found}


def _refuse_own(connection: Connection, schema: str) -> None:
    row = connection.execute(f"SELECT EXISTS (SELECT FROM {schema}.conversations)").fetchone()
    if row is not None and row[0]:
        raise CannotAdopt(
            f"The schema {schema!r} has conversations of its own, which would not be seen any more; export and delete "
            "them first, or choose another schema with BACKSTAY_SCHEMA and `backstay migrate`"
        )


def _refuse_unfinished(connection: Connection, schema: str) -> None:
    row = connection.execute(
        f"SELECT id FROM {schema}.backups WHERE deletion = 'deleting' OR state = 'running' ORDER BY key LIMIT 1"
    ).fetchone()
    if row is not None:
        raise CannotAdopt(
            f"Backup {row[0]} is being written, or its delete has not come to its end; finish it first "
            f"(`backstay conversations delete --continue {row[0]}`)",
            backup_id=row[0],
        )


def _again(connection: Connection, mapped: TableMapping, schema: str, before: PriorAdoption) -> AdoptionResult:
    """Take in whatever has changed since, and mend what is out of step."""
    made = GeneratedViews.from_mapping(connection, mapped, schema)
    if mapped.turns_beside:
        _rename_beside(connection, mapped, schema)
    if made.digest != before.made:
        ddl.renew(connection, schema, made)
    for statement in (*side_tables.keep_in_step(mapped, schema), *side_tables.repair(mapped, schema)):
        connection.execute(statement)
    row_security.guard_rows(connection, schema)
    connection.execute(ddl.new_id(mapped, schema))
    connection.execute(f"DELETE FROM {schema}.adopted")
    _note(connection, schema, mapped, made)
    return _told(connection, mapped, before)


def _rename_beside(connection: Connection, mapped: TableMapping, schema: str) -> None:
    """Have what tells turns apart be called beside them as it is with them."""
    rows = connection.execute(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        (f"{schema}.adopted_turns",),
    ).fetchall()
    for (was,), name in zip(rows, mapped.identity, strict=False):
        if was != name:
            connection.execute(f"ALTER TABLE {schema}.adopted_turns RENAME {quoted(was)} TO {quoted(name)}")


def _asked(mapped: TableMapping) -> dict[str, dict[str, str]]:
    conversations = {name: column.name for name, column in mapped.of_conversations.items()}
    turns = {name: column.name for name, column in mapped.of_turns.items()}
    order = {} if mapped.order is None else {"order": mapped.order.name}
    return {
        CONVERSATIONS: {PLACE: mapped.conversations.told, **conversations},
        TURNS: {PLACE: mapped.turns.told, "conversation": mapped.conversation.name, **order, **turns},
    }


def _note(connection: Connection, schema: str, mapped: TableMapping, made: GeneratedViews) -> None:
    hindered, asked = preflight.find_obstacle(connection, mapped), _asked(mapped)
    for name, table, view in (
        (CONVERSATIONS, mapped.conversations, made.conversations),
        (TURNS, mapped.turns, made.turns),
    ):
        connection.execute(
            f"INSERT INTO {schema}.adopted"
            " (name, place, asked, numbers, owner, made, stored, columns, raw, conversation_key, owner_pattern,"
            " hindered)"
            " SELECT %(name)s, place, %(asked)s, (SELECT pg_catalog.jsonb_object_agg(attname, attnum) FROM pg_attribute"
            " WHERE attrelid = place AND attnum > 0 AND NOT attisdropped), %(owner)s, %(made)s,"
            f" {schema}.stored_columns(place), %(columns)s, %(raw)s, %(key)s,"
            " %(pattern)s, %(hindered)s FROM (SELECT %(place)s::regclass AS place) AS theirs",
            {
                "name": name,
                "place": table.place,
                "asked": Jsonb(asked[name]),
                "owner": mapped.owner,
                "made": made.digest,
                "columns": Jsonb(dict(view.names)),
                "raw": Jsonb(dict(view.raw)),
                "key": mapped.key.name if name == TURNS else None,
                "pattern": preflight.owner_pattern(mapped) if name == CONVERSATIONS else None,
                "hindered": hindered if name == CONVERSATIONS else None,
            },
        )


def _told(connection: Connection, mapped: TableMapping, before: PriorAdoption | None) -> AdoptionResult:
    asked = _asked(mapped)
    tables = []
    for name, table, not_there in (
        (CONVERSATIONS, mapped.conversations, mapped.beside),
        (TURNS, mapped.turns, mapped.turns_beside),
    ):
        mine = {ours: theirs for ours, theirs in asked[name].items() if ours != PLACE}
        tables.append(
            AdoptedTable(
                name=name,
                user_table=table.told,
                rows=_count(connection, table),
                columns=mine,
                side_columns=not_there,
                other_columns=[column for column in table.columns if column not in mine.values()],
            )
        )
    hindered = preflight.find_obstacle(connection, mapped)
    return AdoptionResult(tables, hindered, list(preflight.remarks(connection, mapped)), before is not None)


def _count(connection: Connection, table: UserTable) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table.place}").fetchone()
    return int(row[0]) if row is not None else 0
