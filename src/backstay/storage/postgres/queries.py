"""Statements for PostgreSQL, as psycopg takes them.

Rows are bound as one array per column, so that a statement's text does not depend on their number. An INSERT of nothing
but rows becomes a binary COPY, which saves both sides the conversion of numbers and bytes to text. With columns that a
user has added, the COPY is in text form, since those columns may have any type.
"""

import re
from functools import cache

from backstay.library.selection import Selection
from backstay.storage.sql.database import AddedColumns
from backstay.storage.sql.selection_conditions import fill_selection
from backstay.storage.sql.statement_files import fill_parts, read_statement

_VALUE = re.compile(r"(?<!:):(\w+)\b")
_LOCK = re.compile(r"\{lock:([\w ]+)\}")
_INDEXED_BY = re.compile(r" \{indexed_by:\w+\}")
_ROWS = re.compile(r"\{rows:([a-z,]+)\}")
_ONLY_ROWS = re.compile(r"INSERT INTO (\S+ \([^)]+\))\s+\{rows:([a-z,]+)(\+?)\}")

_OF_OWNER = " AND found.owner = :owner"  # an app may give a row of an adopted table to another owner
_LIST = re.compile(r"\{list:(\w+)\}")
_CONTAINS = re.compile(r"\{contains:([\w.]+),(\w+)\}")

# Values of these types are read as they are, all others as text, which loses nothing.
PLAIN_TYPES = re.compile(r"boolean|smallint|integer|bigint|text|character varying(\(\d+\))?")


# PostgreSQL's own functions are called with their schema. Otherwise a user's function of the same name, wherever it is
# in the search path, would be preferred if its types fit better. `unnest` of several arrays is syntax and gets none.
_FUNCTIONS = re.compile(
    r"(?<![\w.\"])(array_agg|array_position|bool_or|clock_timestamp|concat|count|format(_type)?|generate_series"
    r"|hashtextextended|jsonb_array_elements(_text)?|jsonb_typeof|left|length|lower|max|min|nextval|octet_length"
    r"|pg_advisory_xact_lock|pg_get_expr|pg_get_serial_sequence|pg_has_role|pg_sequence_last_value|pg_terminate_backend"
    r"|row_number|row_security_active|string_agg|substr|sum|to_jsonb?|to_regclass|unnest(?=\([^,]*\)))(?=\()"
)


@cache
def query(name: str) -> str:
    """Return the statement `name`, with placeholders for its schema, rows, selection and added columns."""
    return _LOCK.sub(r"\1", _INDEXED_BY.sub("", read_statement(__package__, name)))


@cache
def binary_types(name: str) -> tuple[str, ...]:
    """Return the types of the columns that a binary COPY takes; empty for any other statement."""
    only_rows = _ONLY_ROWS.fullmatch(query(name))
    return tuple(only_rows[2].split(",")) if only_rows and not only_rows[3] else ()


# A LIKE pattern for the texts that contain a search, in lower case; with the collation of the index, which is not used
# for a pattern with another one.
_LOWERED_PATTERN = r"""(pg_catalog.concat('%', pg_catalog.regexp_replace(
    lower(:search_text::text COLLATE {collation}), '([\\%_])', '\\\1', 'g'), '%') COLLATE "C")"""
_REQUESTED_KEYS = "SELECT * FROM unnest(:keys::bigint[])"


class Statements:
    """The statements for one schema; searches ignore case by the rules of a collation."""

    def __init__(self, schema: str, *, collation: str = "default") -> None:
        self.schema = schema
        self._collation = quoted(collation)
        self._texts: dict[str, str] = {}

    def text(self, name: str, selection: Selection | None = None, columns: AddedColumns | None = None) -> str:
        """Return a statement with its schema, rows, selection and added columns."""
        if selection is not None or columns:
            return self._render(query(name), selection, columns)
        if name not in self._texts:
            self._texts[name] = self._render(query(name), None, None)
        return self._texts[name]

    def _render(self, text: str, selection: Selection | None, columns: AddedColumns | None) -> str:
        keys = _REQUESTED_KEYS if selection is None else query("selected_conversation_keys")
        text = fill_parts(__package__, fill_selection(text.replace("{requested}", keys), selection))
        text = _CONTAINS.sub(self._fold_case, _LIST.sub(_list_elements, text.replace("{of_owner}", _OF_OWNER)))
        text = text.replace("{lowered_pattern}", _LOWERED_PATTERN).replace("{collation}", self._collation)
        if is_copy := (only_rows := _ONLY_ROWS.fullmatch(text)) is not None:
            text = f"COPY {only_rows[1]}\nFROM STDIN{'' if only_rows[3] else ' (FORMAT binary)'}"
        added = "".join(
            f", {quoted(name)}{'' if is_copy or PLAIN_TYPES.fullmatch(kind) else '::text'}"
            for name, kind in (columns or {}).items()
        )
        text = _ROWS.sub(_unnest_columns, text)
        text = _FUNCTIONS.sub(r"pg_catalog.\1", text.replace("{schema}", self.schema))
        if is_copy:  # a COPY has no values to bind
            return text.replace("{columns}", added)
        text = _VALUE.sub(lambda match: f"%({match[1]})s", text.replace("%", "%%"))
        # A column's name may contain anything, so it comes last.
        return text.replace("{columns}", added.replace("%", "%%"))

    def _fold_case(self, match: re.Match[str]) -> str:
        column, name = match.groups()
        text, value = (f"lower({each} COLLATE {self._collation})" for each in (column, f":{name}_text::text"))
        return f"(position({value} IN {text}) > 0 OR position(:{name}::text IN {text}) > 0)"


def quoted(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _list_elements(match: re.Match[str]) -> str:
    # As text or as numbers, like the column that they are compared with.
    return f"SELECT jsonb_array_elements_text(:{match[1]}::jsonb){'::bigint' if match[1] == 'keys' else ''}"


def _unnest_columns(match: re.Match[str]) -> str:
    columns = (f":column{number}::{kind}[]" for number, kind in enumerate(match[1].split(",")))
    return f"SELECT * FROM unnest({', '.join(columns)})"
