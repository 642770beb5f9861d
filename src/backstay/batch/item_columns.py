"""The columns of an input that hold an item's id, topic and persona."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from backstay.errors import UnknownColumn
from backstay.readers.column_names import find_column
from backstay.remedy import Remedy

_MAX_LISTED_COLUMNS = 20


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """The columns of an input that hold an item's id, topic and persona; every other column is a parameter.

    In files, a column is found without regard to case and surrounding space, if none has exactly this name.
    """

    id: str | None = None
    topic: str | None = None
    persona: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name in (self.id, self.topic, self.persona) if name is not None)

    def resolve(self, columns: Iterable[str]) -> "ColumnMapping":
        """Return the mapping to the names as these columns have them. Names without a column stay as they are."""
        names = tuple(columns)
        return ColumnMapping(
            find_column(self.id or "id", names) or self.id,
            find_column(self.topic or "topic", names) or self.topic,
            find_column(self.persona or "persona", names) or self.persona,
        )


def check_columns(resolved: ColumnMapping, columns: Sequence[str], where: str) -> None:
    """Raise UnknownColumn if the columns of the first row lack a mapped one, or that of the topics."""
    column_names = ", ".join(columns[:_MAX_LISTED_COLUMNS])
    for name in resolved.names:
        if name not in columns:
            raise UnknownColumn(f"{where} has no column {name!r}; it has: {column_names}", column=name, path=where)
    if resolved.topic is None:
        only = columns[0] if len(columns) == 1 else None
        raise UnknownColumn(
            f"{where} has no column 'topic', only {column_names}",
            remedy=Remedy.NAME_TOPIC_COLUMN if only is None else Remedy.NAME_ONLY_COLUMN,
            column="topic",
            path=where,
            **({} if only is None else {"column_name": only}),
        )
