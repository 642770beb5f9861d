"""The text of statements, one per file.

`storage/sql/queries/` holds what both databases understand. A database's own `queries/` holds its wording where the two
differ, and is searched first. Placeholders of the shared files:

- `{schema}`: the schema of the tables.
- `:name`: a value. `:1`, `:2`, …: values that are the same for all rows of a statement over many rows.
- `{rows:type,type}`: these rows, one column per type; `{rows:type,type+}` where columns that a user has added follow.
- `{columns}`: the names of these added columns, after the others.
- `{selected}`: the conditions of a selection of conversations.
- `{indexed_by:index}`: the index that SQLite must use, since it does not know how many rows are in a state.
- `{lock:clause}`: the row lock that PostgreSQL takes. SQLite needs none, since it has one writer at a time.
"""

import re
from importlib.resources import files

_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)


def read_statement(package: str, name: str) -> str:
    """Return a statement of the database in `package`, without its comment.

    Raises FileNotFoundError if there is no file of that name.
    """
    own = files(package) / "queries" / f"{name}.sql"
    file = own if own.is_file() else files(__package__) / "queries" / f"{name}.sql"
    return _COMMENT.sub("", file.read_text(encoding="utf-8")).strip()
