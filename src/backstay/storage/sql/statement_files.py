"""The text of statements, one per file.

`storage/sql/queries/` holds what both databases understand. A database's own `queries/` holds its wording where the two
differ, and is searched first. Placeholders of the shared files:

- `{schema}`: the schema of the tables.
- `:name`: a value.
- `{rows:type,type}`: the rows of a statement over many rows, with the types of their columns. A `+` at the end, as in
  `{rows:type,type+}`, stands for columns that a user has added.
- `{columns}`: the names of these added columns.
- `:1`, `:2`, …: values of a statement over many rows that all rows share.
- `{selected}`: the conditions of a selection of conversations; `{selected_in_range}` those of a statement over the
  conversations between the keys `:after` and `:before`.
- `{matching}`, `{matching_in_range}`: the same for entries of the conversation index.
- `{scan}`: after a column, keeps the database from using an index of it, if few entries may be selected.
- `{entries}`: the entries of an owner in the conversation index, including those of conversations that have none yet,
  as a table and the condition that limits it to them.
- `{unindexed}`: ranges of keys of an owner's conversations that have no exact entry.
- `{import_ranges}`: the ranges of keys of the conversations that the selected import has stored.
- `{among_candidates}`: whether the text index says that a conversation may contain the text of a search.
- `{derived}`: the columns of an entry, derived from the conversation `stored`.
- `{list:name}`: a query of the elements of a value that is a JSON array.
- `{indexed_by:index}`: forces SQLite to use this index. It could choose a worse one, since it does not know how many
  rows are in each state.
- `{lock:clause}`: the row lock that PostgreSQL takes. SQLite needs none, since it has one writer at a time.
"""

import re
from importlib.resources import files

PARTS = {
    "{entries}": "index_entries",
    "{derived}": "derived_columns",
    "{unindexed}": "unindexed",
    "{import_ranges}": "import_ranges",
    "{among_candidates}": "among_candidates",
}
"""Placeholders for parts that several statements share, each with the name of its file."""
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)


def read_statement(package: str, name: str) -> str:
    """Return the text of a statement without its comment, in the wording of the database whose package is given.

    Raises FileNotFoundError if there is no file of that name.
    """
    own = files(package) / "queries" / f"{name}.sql"
    file = own if own.is_file() else files(__package__) / "queries" / f"{name}.sql"
    return fill_parts(package, _COMMENT.sub("", file.read_text(encoding="utf-8")).strip())


def fill_parts(package: str, text: str) -> str:
    """Replace the placeholders in a text that stand for parts of statements, which are files as well."""
    for placeholder, part in PARTS.items():
        if placeholder in text:
            text = text.replace(placeholder, read_statement(package, part))
    return text
