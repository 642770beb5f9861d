"""The names of columns in files."""

from collections.abc import Collection

_MAX_QUOTED = 6
_MAX_CHARACTERS = 40


def find_column(name: str, columns: Collection[str]) -> str | None:
    """Return the column of this name; None if there is none.

    If no column has exactly this name, the only one that has it without regard to case and surrounding space is it.
    """
    if name in columns:
        return name
    wanted = name.strip().casefold()
    similar = [column for column in columns if column.strip().casefold() == wanted]
    return similar[0] if len(similar) == 1 else None


def quoted_names(names: Collection[str]) -> str:
    """Return the first names for a message, shortened, since a name may be any text of the file."""
    quoted = [repr(name[:_MAX_CHARACTERS]) for name in names]
    return ", ".join(quoted[:_MAX_QUOTED]) + (", …" if len(quoted) > _MAX_QUOTED else "")
