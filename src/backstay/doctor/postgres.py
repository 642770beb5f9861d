"""Checks of a database on a server."""

from collections.abc import Iterator
from pathlib import Path

from backstay.doctor.backups import check_backups
from backstay.doctor.check import Check, CheckLevel
from backstay.doctor.filesystem import check_backup_base
from backstay.doctor.unfinished_work import check_counters, check_others, check_work
from backstay.errors import BackstayError
from backstay.remedy import Remedy
from backstay.settings import Settings
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.inspection import PostgresInspection, inspect


def check_database(url: str, settings: Settings, *, deep: bool) -> Iterator[Check]:
    """Check the server, the schema and the backup folder."""
    yield from _check_backup_folder(settings.backup_folder)
    try:
        address = ServerAddress.from_url(url)
        inspection = inspect(address, settings.database_schema, owner=settings.owner, deep=deep)
    except BackstayError as error:
        yield Check.from_error("server", error)
        return
    if address.ignored:
        names = ", ".join(address.ignored)
        yield Check("settings", CheckLevel.OK, f"ignored in the address, because they are for other drivers: {names}")
    yield Check("server", CheckLevel.OK, f"PostgreSQL {inspection.version} at {address}, as {inspection.user}")
    yield from _check_durability(inspection)
    yield _check_schema(inspection, settings.database_schema)
    if deep and (inspection.miscounted_jobs or inspection.schema == inspection.known_schema):
        yield check_counters(inspection.miscounted_jobs)
    yield from _check_adoption(inspection)
    if inspection.schema == inspection.known_schema:
        yield from check_work(inspection.report, settings.owner)
        yield from check_others(inspection.report, settings.owner)
        yield from check_backups(inspection.report, settings, default_folder=None, deep=deep)


def _check_backup_folder(folder: Path | None) -> Iterator[Check]:
    if folder is None:
        remedy = "set BACKUP_DIRECTORY to a folder on a disk of this machine; a safe delete needs it"
        yield Check("backups", CheckLevel.WARNING, "no folder for backups is set", remedy)
        return
    yield from check_backup_base(folder)


def _check_durability(inspection: PostgresInspection) -> Iterator[Check]:
    if inspection.unsafe_settings:
        message = f"a power failure of the server can lose commits: {' and '.join(inspection.unsafe_settings)} off"
        statements = " and ".join(f"`ALTER SYSTEM SET {name} = on`" for name in inspection.unsafe_settings)
        remedy = f"have a superuser run {statements}, then `SELECT pg_reload_conf()`"
        yield Check("durability", CheckLevel.WARNING, message, remedy)
    else:
        yield Check("durability", CheckLevel.OK, "commits are on disk when the server confirms them")


def _check_adoption(inspection: PostgresInspection) -> Iterator[Check]:
    if not inspection.adopted:
        return
    mapping = " and ".join(f"{table.name} are those of {table.table}" for table in inspection.adopted)
    changed = [table.table for table in inspection.adopted if not table.has_same_columns]
    hidden = sum(table.missing for table in inspection.adopted)
    obstacle = next((table.obstacle for table in inspection.adopted if table.obstacle), None)
    if changed:
        columns = f"the columns of {' and '.join(changed)}"
        message = f"{columns} changed after the adoption, so nothing is backed up or deleted"
        yield Check("adopted", CheckLevel.PROBLEM, message, Remedy.ADOPT_AGAIN)
    elif hidden:
        message = f"{hidden:,} conversations are hidden: the triggers of Backstay were disabled for a while"
        yield Check("adopted", CheckLevel.PROBLEM, message, Remedy.ADOPT_AGAIN)
    elif obstacle is not None:
        message = f"{mapping}; nothing new can be stored: {obstacle}"
        yield Check("adopted", CheckLevel.WARNING, message, Remedy.CORRECT_AND_ADOPT)
    else:
        yield Check("adopted", CheckLevel.OK, mapping)


def _check_schema(inspection: PostgresInspection, name: str) -> Check:
    if inspection.schema > inspection.known_schema:
        message = f"{inspection.schema}, written by a newer Backstay; this one knows {inspection.known_schema}"
        return Check("schema", CheckLevel.PROBLEM, message, "install the newest version of Backstay")
    if inspection.schema == 0:
        return Check("schema", CheckLevel.WARNING, f"no schema {name!r} yet", Remedy.MIGRATE)
    if inspection.schema < inspection.known_schema:
        message = f"{inspection.schema}; this Backstay uses {inspection.known_schema}"
        return Check("schema", CheckLevel.PROBLEM, message, Remedy.MIGRATE)
    return Check("schema", CheckLevel.OK, f"{name}, {inspection.schema}")
