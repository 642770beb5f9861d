"""Schemas made up by chance, of tables that hang on conversations, and rows to fill them with."""

from dataclasses import dataclass, field

from hypothesis import strategies as st

_RULES = ("CASCADE", "SET NULL", "SET DEFAULT")
_VALUES = {
    "text": ("'a'", "'it''s'", "NULL", "''", "'50%'"),
    "integer": ("0", "-7", "NULL"),
    "numeric": ("1.50", "NULL", "100000000000000000000.000000001"),
    "bytes": ("{00ff}", "NULL", "{}"),
}
_CHATS = 6
_TURNS = [(key, sequence) for key in range(1, _CHATS + 1) for sequence in (1, 2)]


@dataclass(frozen=True)
class Reference:
    """A foreign key: to conversations, to turns, or to a table by its number."""

    to: str | int
    rule: str
    nullable: bool


@dataclass(frozen=True)
class MadeUp:
    """A table and its rows, each a list of SQL values."""

    number: int
    keyed: int
    """How many columns its primary key has."""
    references: tuple[Reference, ...]
    kinds: tuple[str, ...]
    rows: list[list[str]] = field(default_factory=list)


@st.composite
def schemas(draw: st.DrawFn) -> list[MadeUp]:
    """Return tables in an order in which they can be made and filled."""
    tables: list[MadeUp] = []
    for number in range(draw(st.integers(1, 4))):
        keyed = draw(st.sampled_from((1, 1, 2, 0)))
        ends: list[str | int] = ["conversations", "conversations", "turns"]
        ends += [*(table.number for table in tables if table.keyed), *([number] if keyed else [])]
        references = []
        for _ in range(draw(st.integers(1, 3))):
            rule = draw(st.sampled_from(_RULES)) if keyed else "CASCADE"
            to = draw(st.sampled_from(ends))
            references.append(Reference(to, rule, rule != "CASCADE" or to == number or draw(st.booleans())))
        kinds = tuple(draw(st.lists(st.sampled_from(sorted(_VALUES)), max_size=2)))
        table = MadeUp(number, keyed, tuple(references), kinds)
        lacks = any(
            isinstance(reference.to, int)
            and reference.to != number
            and not reference.nullable
            and not tables[reference.to].rows
            for reference in references
        )
        for row in range(0 if lacks else draw(st.integers(0, 6))):
            values = [str(row), f"'k{row % 2}'"][:keyed]
            for reference in table.references:
                values += draw(_end(reference, tables, table))
            values += [draw(st.sampled_from(_VALUES[kind])) for kind in kinds]
            table.rows.append(values)
        tables.append(table)
    return tables


def _end(reference: Reference, tables: list[MadeUp], own: MadeUp) -> st.SearchStrategy[list[str]]:
    if reference.to == "conversations":
        there = [[str(key)] for key in range(1, _CHATS + 1)]
    elif reference.to == "turns":
        there = [[str(key), str(sequence)] for key, sequence in _TURNS]
    else:
        table = own if reference.to == own.number else tables[int(reference.to)]
        there = [row[: table.keyed] for row in table.rows]
    width = 2 if reference.to == "turns" else 1
    if isinstance(reference.to, int):
        width = own.keyed if reference.to == own.number else tables[reference.to].keyed
    nothing = [["NULL"] * width] if reference.nullable else []
    return st.sampled_from(there * 2 + nothing)


def _width(reference: Reference, widths: dict[int, int]) -> int:
    return {"conversations": 1, "turns": 2}.get(str(reference.to)) or widths.get(int(reference.to), 1)


def _declared(table: MadeUp, *, server: bool, widths: dict[int, int]) -> list[tuple[str, str]]:
    columns = [("id", "integer NOT NULL"), ("part", "text NOT NULL")][: table.keyed]
    for at, reference in enumerate(table.references):
        empty = "" if reference.nullable else " NOT NULL"
        for number in range(_width(reference, widths)):
            kind = (
                "bigint" if reference.to == "conversations" or (reference.to == "turns" and not number) else "integer"
            )
            if isinstance(reference.to, int) and number:
                kind = "text"
            columns.append((f"r{at}_{number}", kind + empty))
    names = {"text": "text", "integer": "integer", "numeric": "numeric", "bytes": "bytea" if server else "BLOB"}
    columns += [(f"v{at}", names[kind]) for at, kind in enumerate(table.kinds)]
    return columns


def statements(tables: list[MadeUp], *, server: bool) -> str:
    """Return what makes and fills them."""
    text, widths = [], {table.number: table.keyed for table in tables}
    ours = "backstay." if server else ""
    for table in tables:
        definitions = [f"{name} {kind}" for name, kind in _declared(table, server=server, widths=widths)]
        if table.keyed:
            definitions.append(f"PRIMARY KEY ({', '.join(('id', 'part')[: table.keyed])})")
        for at, reference in enumerate(table.references):
            columns = ", ".join(f"r{at}_{number}" for number in range(_width(reference, widths)))
            end = {
                "conversations": f"{ours}conversations (key)",
                "turns": f"{ours}turns (conversation_key, sequence)",
            }.get(str(reference.to), f"t{reference.to}")
            definitions.append(f"FOREIGN KEY ({columns}) REFERENCES {end} ON DELETE {reference.rule}")
        text.append(f"CREATE TABLE t{table.number} ({', '.join(definitions)})")
        names = ", ".join(name for name, _ in _declared(table, server=server, widths=widths))
        for row in table.rows:
            values = [_value(value, server=server) for value in row]
            text.append(f"INSERT INTO t{table.number} ({names}) VALUES ({', '.join(values)})")
    return "; ".join(text)


def _value(value: str, *, server: bool) -> str:
    if not value.startswith("{"):
        return value
    return f"decode('{value[1:-1]}', 'hex')" if server else f"x'{value[1:-1]}'"
