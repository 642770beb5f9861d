"""A database on a server."""

from collections.abc import Iterator
from pathlib import Path

from backstay.doctor.backups import check_backups
from backstay.doctor.check import Check, CheckLevel
from backstay.doctor.filesystem import check_backup_place
from backstay.doctor.work import check_others, check_work
from backstay.errors import BackstayError
from backstay.settings import Settings
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.inspection import PostgresInspection, inspect


def check_server(url: str, settings: Settings, *, deep: bool) -> Iterator[Check]:
    """Check the server, the schema in it, and where its backups go."""
    yield from _backups(settings.backup_place)
    try:
        address = ServerAddress.from_url(url)
        found = inspect(address, settings.database_schema, owner=settings.owner, deep=deep)
    except BackstayError as error:
        yield Check("server", CheckLevel.PROBLEM, error.message)
        return
    if address.ignored:
        names = ", ".join(address.ignored)
        yield Check("settings", CheckLevel.OK, f"for other drivers, and ignored in the address: {names}")
    yield Check("server", CheckLevel.OK, f"PostgreSQL {found.version} at {address}, as {found.user}")
    yield from _durability(found)
    yield _schema(found, settings.database_schema)
    if deep and found.miscounted:
        text = f"the counters of these jobs differ from their items: {', '.join(found.miscounted)}"
        remedy = "this is a fault in Backstay; its conversations are not affected"
        yield Check("counters", CheckLevel.PROBLEM, text, remedy)
    elif deep and found.schema == found.known_schema:
        yield Check("counters", CheckLevel.OK, "every job's counters equal its items")
    yield from _adopted(found)
    if found.schema == found.known_schema:
        yield from check_work(found.standing)
        yield from check_others(found.standing, settings.owner)
        yield from check_backups(found.standing, settings, beside=None, deep=deep)


def _backups(place: Path | None) -> Iterator[Check]:
    if place is None:
        remedy = "set BACKUP_DIRECTORY to a folder on a disk of this machine; without it nothing can be deleted safely"
        yield Check("backups", CheckLevel.WARNING, "nothing says where backups go", remedy)
        return
    yield from check_backup_place(place)


def _durability(found: PostgresInspection) -> Iterator[Check]:
    if found.unsafe:
        text = f"the server is set not to keep commits through a loss of power: {' and '.join(found.unsafe)} off"
        statements = " and ".join(f"`ALTER SYSTEM SET {name} = on`" for name in found.unsafe)
        remedy = f"have a superuser run {statements}, then `SELECT pg_reload_conf()`"
        yield Check("durability", CheckLevel.WARNING, text, remedy)
    else:
        yield Check("durability", CheckLevel.OK, "commits are on disk when they are answered")


def _adopted(found: PostgresInspection) -> Iterator[Check]:
    if not found.adopted:
        return
    told = " and ".join(f"{table.name} are those of {table.table}" for table in found.adopted)
    changed = [table.table for table in found.adopted if not table.has_same_columns]
    missing = sum(table.missing for table in found.adopted)
    obstacle = next((table.obstacle for table in found.adopted if table.obstacle), None)
    again = "run `backstay adopt` again"
    if changed:
        text = f"{' and '.join(changed)}: other columns than when they were adopted, so nothing is backed up or deleted"
        yield Check("adopted", CheckLevel.PROBLEM, text, again)
    elif missing:
        text = f"{missing:,} conversations are not shown; somebody has switched our triggers off for a while"
        yield Check("adopted", CheckLevel.PROBLEM, text, again)
    elif obstacle is not None:
        yield Check(
            "adopted", CheckLevel.WARNING, f"{told}; nothing new can be stored: {obstacle}", "mend it, then " + again
        )
    else:
        yield Check("adopted", CheckLevel.OK, told)


def _schema(found: PostgresInspection, name: str) -> Check:
    if found.schema > found.known_schema:
        text = f"{found.schema}, written by a newer Backstay; this one knows {found.known_schema}"
        return Check("schema", CheckLevel.PROBLEM, text, "use that version of Backstay or a newer one")
    if found.schema == 0:
        return Check("schema", CheckLevel.WARNING, f"there is no schema {name!r} yet", "`backstay migrate` makes it")
    if found.schema < found.known_schema:
        text = f"{found.schema}; this Backstay uses {found.known_schema}"
        return Check("schema", CheckLevel.PROBLEM, text, "`backstay migrate` brings it up to date")
    return Check("schema", CheckLevel.OK, f"{name}, {found.schema}")
