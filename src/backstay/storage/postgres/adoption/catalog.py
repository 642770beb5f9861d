"""A user's own table as the catalogue has it, types and defaults named in full, so that no search path matters."""

from dataclasses import dataclass

from backstay.errors import CannotAdopt, StoreDenied
from backstay.storage.postgres.queries import quoted
from backstay.storage.postgres.session import Connection

_FOUND = """
SELECT pg_class.oid, nspname::text, relname::text, relkind::text, relhassubclass, relispartition,
       pg_has_role(current_user, relowner, 'USAGE'), relforcerowsecurity,
       quote_ident(pg_get_userbyid(relowner)), quote_ident(current_user)
  FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
 WHERE pg_class.oid = to_regclass(%s)
"""
_COLUMNS = """
SELECT attname::text, format_type(atttypid, atttypmod), format_type(atttypid, -1), base.name, base.category,
       attnotnull OR base.required,
       CASE WHEN attidentity <> '' THEN format('nextval(%%L::regclass)', pg_get_serial_sequence(%(place)s, attname))
            WHEN attgenerated = '' THEN pg_get_expr(adbin, adrelid) END,
       attgenerated <> '', attidentity = 'a'
  FROM pg_attribute
  LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
 CROSS JOIN LATERAL (
       WITH RECURSIVE under (oid, typtype, typbasetype, required) AS (
            SELECT pg_type.oid, typtype, typbasetype, typnotnull FROM pg_type WHERE pg_type.oid = atttypid
             UNION ALL
            SELECT pg_type.oid, pg_type.typtype, pg_type.typbasetype, under.required OR typnotnull
              FROM under JOIN pg_type ON pg_type.oid = under.typbasetype WHERE under.typtype = 'd')
       SELECT CASE under.typtype WHEN 'e' THEN 'enum' ELSE pg_type.typname::text END AS name,
              pg_type.typcategory::text AS category, under.required
         FROM under JOIN pg_type ON pg_type.oid = under.oid WHERE under.typtype <> 'd') AS base
 WHERE attrelid = %(place)s::regclass AND attnum > 0 AND NOT attisdropped
 ORDER BY attnum
"""
_UNIQUE = """
SELECT ARRAY(SELECT attname::text
               FROM unnest(indkey::smallint[]) WITH ORDINALITY AS at (number, place)
               JOIN pg_attribute ON attrelid = indrelid AND attnum = at.number
              WHERE at.place <= indnkeyatts ORDER BY at.place),
       indisunique AND indimmediate, indisprimary
  FROM pg_index
 WHERE indrelid = %s::regclass AND indisvalid AND indpred IS NULL AND indexprs IS NULL
 ORDER BY indisprimary DESC, indexrelid
"""
_KEYS = """
SELECT conname::text, confdeltype = 'c',
       ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY AS at (number, place)
               JOIN pg_attribute ON attrelid = conrelid AND attnum = at.number ORDER BY place),
       ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY AS at (number, place)
               JOIN pg_attribute ON attrelid = confrelid AND attnum = at.number ORDER BY place)
  FROM pg_constraint
 WHERE contype = 'f' AND conrelid = %s::regclass AND confrelid = %s::regclass
   AND coalesce(to_jsonb(pg_constraint) ->> 'conenforced', 'true') = 'true'
 ORDER BY conname
"""


@dataclass(frozen=True, slots=True)
class UserColumn:
    """A column of theirs."""

    name: str
    type: str
    cast: str
    """The type without its length: a cast to it cuts nothing off."""
    base: str
    """The name of the type, or `enum`; of a domain, that of what is below it."""
    category: str
    required: bool
    default: str | None
    is_generated: bool
    is_always: bool
    """An identity that only says by itself what it is."""


@dataclass(frozen=True, slots=True)
class TurnForeignKey:
    """A foreign key from turns to conversations."""

    name: str
    cascades: bool
    columns: tuple[str, ...]
    ends: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UserTable:
    """A table of theirs."""

    told: str
    """Schema and name, as people write them."""
    place: str
    """The same as SQL takes it."""
    columns: dict[str, UserColumn]
    """Those that are stored, in order."""
    generated: frozenset[str]
    unique: tuple[tuple[str, ...], ...]
    """What no two rows have in common."""
    indexed: frozenset[str]
    """Columns by which rows are found quickly."""
    names: tuple[str, ...]
    """All columns, in order."""

    def is_unique(self, *names: str) -> bool:
        """Whether no two rows have the same in these columns, and none lacks it."""
        return any(set(one) <= set(names) for one in self.unique) and all(self.columns[name].required for name in names)


def find(connection: Connection, name: str, schema: str) -> UserTable:
    """Return the table of that name.

    Raises:
        CannotAdopt: there is none, or it is none that can be adopted.
        StoreDenied: it is somebody else's.
    """
    row = connection.execute(_FOUND, (name,)).fetchone() if _is_name(connection, name) else None
    if row is None:
        raise CannotAdopt(f"There is no table {name}; write it as schema.table, for instance public.chats", table=name)
    _, found_in, table, kind, has_children, is_partition, is_ours, is_forced, owner, us = row
    told, place = f"{found_in}.{table}", f"{quoted(found_in)}.{quoted(table)}"
    if found_in == schema:
        raise CannotAdopt(f"{told} is a table of Backstay's own; name one of yours", table=told)
    if kind != "r" or has_children or is_partition:
        what = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}.get(kind, "made of several tables")
        raise CannotAdopt(f"{told} is {what}; only a table by itself can be adopted", table=told)
    if not is_ours:
        raise StoreDenied(
            f"{told} belongs to another role; adopt it as its owner, or be granted that role: `GRANT {owner} TO {us}`",
            table=told,
        )
    if is_forced:
        raise CannotAdopt(
            f"{told} hides rows from its owner, too (FORCE ROW LEVEL SECURITY), so nothing could be backed up whole; "
            f"`ALTER TABLE {place} NO FORCE ROW LEVEL SECURITY` ends that",
            table=told,
        )
    columns = [UserColumn(*given) for given in connection.execute(_COLUMNS, {"place": place}).fetchall()]
    indexes = connection.execute(_UNIQUE, (place,)).fetchall()
    return UserTable(
        told,
        place,
        {column.name: column for column in columns if not column.is_generated},
        frozenset(column.name for column in columns if column.is_generated),
        tuple(tuple(names) for names, is_unique, _ in indexes if is_unique),
        frozenset(names[0] for names, _, _ in indexes if names),
        tuple(column.name for column in columns),
    )


def keys_between(connection: Connection, turns: UserTable, conversations: UserTable) -> list[TurnForeignKey]:
    """Return the foreign keys that lead from turns to conversations."""
    rows = connection.execute(_KEYS, (turns.place, conversations.place)).fetchall()
    return [TurnForeignKey(name, cascades, tuple(columns), tuple(ends)) for name, cascades, columns, ends in rows]


def _is_name(connection: Connection, name: str) -> bool:
    """Whether it reads as the name of a table; asked beforehand, since asking for a table would fail otherwise."""
    from psycopg import Error

    try:
        with connection.transaction():
            connection.execute("SELECT to_regclass(%s)", (name,))
    except Error:
        return False
    return bool(name.strip())
