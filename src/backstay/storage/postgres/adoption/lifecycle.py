"""Adoption and its undo, each in one transaction: complete or not at all."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from psycopg.types.json import Jsonb

from backstay.errors import CannotAdopt
from backstay.library.adoption_request import (
    CONVERSATION_NAMES,
    TURN_NAMES,
    AdoptedTable,
    AdoptionRequest,
    AdoptionResult,
    UnadoptResult,
)
from backstay.remedy import Remedy
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.adoption import ddl, preflight, row_security, side_tables, status
from backstay.storage.postgres.adoption.catalog import (
    UserColumn,
    UserTable,
    columns_of,
    find_table,
    foreign_keys_between,
)
from backstay.storage.postgres.adoption.ddl import GeneratedViews
from backstay.storage.postgres.adoption.mapping import TableMapping, map_columns
from backstay.storage.postgres.adoption.status import TABLE, PriorAdoption
from backstay.storage.postgres.adoption.templates import render
from backstay.storage.postgres.connection import SETTINGS, check_server, connect
from backstay.storage.postgres.errors import translate_errors
from backstay.storage.postgres.schema_migration import hold_schema, refuse_unmigrated, refuse_while_in_use
from backstay.storage.postgres.session import Connection, query_value
from backstay.storage.sql.cascade.tables import BUILT_IN_TABLES, CONVERSATIONS, TURNS

_LOCK_TIMEOUT = "10s"
"""How long to wait for locks that the app holds on its tables. The app's next statements wait meanwhile."""

_OTHER_ADOPTION = "Other tables or columns are adopted already"


def check(address: ServerAddress, schema: str, request: AdoptionRequest, owner: str) -> AdoptionResult:
    """Return what `adopt` would do. Writes nothing. Raises like `adopt`."""
    with _transaction(address, schema, "READ ONLY") as connection:
        prior, mapping = _map_tables(connection, address, schema, request, owner)
        if prior is None:
            _refuse_own_conversations(connection, schema)
        return _result(connection, mapping, prior)


def adopt(address: ServerAddress, schema: str, request: AdoptionRequest, owner: str) -> AdoptionResult:
    """Let user tables stand for the built-in ones. Idempotent; concurrent calls wait for each other.

    Raises:
        CannotAdopt: Tables or columns do not fit, or the built-in tables are not empty.
        StoreDenied: The user tables belong to another role.
        SchemaOutdated: A worker uses the database, or it is not migrated.
        StorageError: The database does not allow it.
    """
    with _transaction(address, schema, "") as connection:
        hold_schema(connection, schema)
        prior, mapping = _map_tables(connection, address, schema, request, owner)
        if prior is not None:
            return _renew(connection, mapping, schema, prior)
        _refuse_own_conversations(connection, schema)
        refuse_while_in_use(connection, address, schema, "cannot be changed")
        connection.execute(render("own_tables/set_aside", schema=schema, built_in_tables=BUILT_IN_TABLES))
        views = GeneratedViews.from_mapping(connection, mapping, schema)
        for statement in (*side_tables.create(mapping, schema), *views.statements, ddl.new_id(mapping, schema)):
            connection.execute(statement)
        connection.execute(render("side_tables/curation", schema=schema, table="adopted_conversations"))
        row_security.protect(connection, mapping, schema)
        _record(connection, schema, mapping, views)
        if _count(connection, mapping.conversations):
            # Statistics of an empty table would mislead the planner more than none.
            connection.execute(render("side_tables/analyze", schema=schema))
        return _result(connection, mapping, None)


def undo(address: ServerAddress, schema: str, *, is_check: bool = False) -> UnadoptResult:
    """Remove what an adoption created, and leave the user tables as they are. Idempotent; works even without those.

    Raises:
        CannotAdopt: Something else depends on the views, or a delete is unfinished.
        SchemaOutdated: A worker uses the database, or it is not migrated.
    """
    with _transaction(address, schema, "READ ONLY" if is_check else "") as connection:
        if not is_check:
            hold_schema(connection, schema)
        refuse_unmigrated(connection, address, schema, without=frozenset(BUILT_IN_TABLES))
        result = status.preview_undo(connection, schema)
        if is_check or result.is_empty:
            return result
        refuse_while_in_use(connection, address, schema, "cannot be changed")
        if status.has_views(connection, schema):  # without them no delete can be finished
            _refuse_unfinished(connection, schema)
        ddl.drop(connection, schema)
        connection.execute(render("side_tables/curation", schema=schema, table="own_conversations"))
        connection.execute(render("side_tables/drop", schema=schema))
        connection.execute(render("record/delete", schema=schema))
        connection.execute(render("own_tables/restore_names", schema=schema, built_in_tables=BUILT_IN_TABLES))
        return result


@contextmanager
def _transaction(address: ServerAddress, schema: str, mode: str) -> Iterator[Connection]:
    with translate_errors(address, schema), connect(address) as connection:
        check_server(connection, address)
        with connection.transaction():
            if mode:
                connection.execute(f"SET TRANSACTION {mode}")
            connection.execute(SETTINGS)
            connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            yield connection


def _map_tables(
    connection: Connection, address: ServerAddress, schema: str, request: AdoptionRequest, owner: str
) -> tuple[PriorAdoption | None, TableMapping]:
    """Return the recorded adoption, and the mapping of the requested tables, which has to agree with it."""
    refuse_unmigrated(connection, address, schema)
    conversations = find_table(connection, request.conversations, schema)
    turns = find_table(connection, request.turns, schema)
    # From here on every name includes its schema.
    connection.execute("SET LOCAL search_path = ''")
    conversations, turns = (find_table(connection, table.quoted_name, schema) for table in (conversations, turns))
    prior = status.prior_adoption(connection, schema)
    if prior is not None:
        if prior.tables != (conversations.name, turns.name):
            raise CannotAdopt(_OTHER_ADOPTION, remedy=Remedy.UNDO_ADOPTION)
        request, owner = prior.extend(request), prior.owner
    foreign_keys = foreign_keys_between(connection, turns, conversations)
    mapping = map_columns(request, conversations, turns, foreign_keys, owner)
    if prior is not None and prior.mapping != _recorded_mapping(mapping):
        raise CannotAdopt(_OTHER_ADOPTION, remedy=Remedy.UNDO_ADOPTION)
    # In a fixed order, so that the same mapping always results in the same statements.
    return prior, replace(
        mapping,
        conversation_columns=_sort(mapping.conversation_columns, CONVERSATION_NAMES),
        turn_columns=_sort(mapping.turn_columns, TURN_NAMES),
    )


def _sort(columns: Mapping[str, UserColumn], names: Sequence[str]) -> dict[str, UserColumn]:
    return {name: columns[name] for name in names if name in columns}


def _refuse_own_conversations(connection: Connection, schema: str) -> None:
    if query_value(connection, render("own_tables/have_conversations", schema=schema)):
        raise CannotAdopt(
            f"The schema {schema!r} has conversations of its own, which an adoption would hide; export and delete "
            "them first",
            remedy=Remedy.MIGRATE_OTHER_SCHEMA,
        )


def _refuse_unfinished(connection: Connection, schema: str) -> None:
    backup_id = query_value(connection, render("own_tables/unfinished_backup", schema=schema))
    if backup_id is not None:
        raise CannotAdopt(
            f"Backup {backup_id} is being written, or its delete is unfinished; wait for it",
            remedy=Remedy.RESUME_DELETE,
            backup_id=backup_id,
        )


def _renew(connection: Connection, mapping: TableMapping, schema: str, prior: PriorAdoption) -> AdoptionResult:
    """Adapt an adoption to what has changed since, and repair what is out of step."""
    views = GeneratedViews.from_mapping(connection, mapping, schema)
    if mapping.side_turn_columns:
        _rename_side_columns(connection, mapping, schema)
    if views.digest != prior.digest:
        ddl.renew(connection, schema, views)
    for statement in (*side_tables.renew_triggers(mapping, schema), side_tables.repair(mapping, schema)):
        connection.execute(statement)
    connection.execute(render("side_tables/unindex", schema=schema))
    row_security.protect_adopted_rows(connection, schema)
    connection.execute(ddl.new_id(mapping, schema))
    connection.execute(render("record/delete", schema=schema))
    _record(connection, schema, mapping, views)
    return _result(connection, mapping, prior)


def _rename_side_columns(connection: Connection, mapping: TableMapping, schema: str) -> None:
    """Give the columns that identify a turn the same names in the side table as in the user table."""
    old_names = [column.name for column in columns_of(connection, f"{schema}.adopted_turns")]
    renamed = [names for names in zip(old_names, mapping.turn_identity, strict=False) if names[0] != names[1]]
    if renamed:
        connection.execute(render("side_tables/rename_turn_columns", schema=schema, renamed=renamed))


def _recorded_mapping(mapping: TableMapping) -> dict[str, dict[str, str]]:
    """Return the mapping as it is recorded: for each built-in table, the user column of each built-in column."""
    conversations = {name: column.name for name, column in mapping.conversation_columns.items()}
    turns = {name: column.name for name, column in mapping.turn_columns.items()}
    order = {} if mapping.order is None else {"order": mapping.order.name}
    return {
        CONVERSATIONS: {TABLE: mapping.conversations.name, **conversations},
        TURNS: {TABLE: mapping.turns.name, "conversation": mapping.parent.name, **order, **turns},
    }


def _record(connection: Connection, schema: str, mapping: TableMapping, views: GeneratedViews) -> None:
    names, query = _recorded_mapping(mapping), render("record/insert", schema=schema)
    obstacle = "; ".join(preflight.find_obstacles(connection, mapping)) or None
    for name, table, view in (
        (CONVERSATIONS, mapping.conversations, views.conversations),
        (TURNS, mapping.turns, views.turns),
    ):
        values = {
            "name": name,
            "table": table.quoted_name,
            "mapping": Jsonb(names[name]),
            "owner": mapping.default_owner,
            "digest": views.digest,
            "columns": Jsonb(dict(view.names)),
            "raw": Jsonb(dict(view.raw)),
            "foreign_key": mapping.foreign_key.name if name == TURNS else None,
            "owner_pattern": preflight.owner_pattern(mapping) if name == CONVERSATIONS else None,
            "obstacle": obstacle if name == CONVERSATIONS else None,
        }
        connection.execute(query, values)


def _result(connection: Connection, mapping: TableMapping, prior: PriorAdoption | None) -> AdoptionResult:
    names = _recorded_mapping(mapping)
    tables = []
    for name, table, side_columns in (
        (CONVERSATIONS, mapping.conversations, mapping.side_columns),
        (TURNS, mapping.turns, mapping.side_turn_columns),
    ):
        mapped = {builtin: column for builtin, column in names[name].items() if builtin != TABLE}
        tables.append(
            AdoptedTable(
                name=name,
                user_table=table.name,
                rows=_count(connection, table),
                columns=mapped,
                side_columns=side_columns,
                other_columns=[column for column in table.columns if column not in mapped.values()],
            )
        )
    obstacles = preflight.find_obstacles(connection, mapping)
    remarks = list(preflight.find_remarks(connection, mapping))
    return AdoptionResult(tables, obstacles, remarks, prior is not None)


def _count(connection: Connection, table: UserTable) -> int:
    return int(query_value(connection, render("user_tables/count_rows", table=table, null_column=None)))
