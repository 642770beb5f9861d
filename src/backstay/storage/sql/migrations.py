"""What the migrations of SQLite and PostgreSQL share: their files, and two refusals."""

import re
from collections.abc import Callable, Iterable
from importlib.resources import files
from typing import Any

import orjson

from backstay.batch import liveness
from backstay.batch.store import WorkerIdentity
from backstay.errors import SchemaOutdated, SchemaTooNew
from backstay.library.canonical_json import digest_of

Migration = tuple[int, str]
"""The number and the SQL of a migration."""

Execute = Callable[[str], Iterable[tuple[Any, ...]]]
"""Executes a query in the transaction of a migration."""
ExecuteWith = Callable[[str, tuple[Any, ...]], object]
"""Executes a statement with values in the transaction of a migration."""


def read_migrations(package: str) -> list[Migration]:
    """Return the migrations in the folder `migrations` of a package, in order."""
    numbered = [
        (int(match[1]), entry.read_text(encoding="utf-8"))
        for entry in (files(package) / "migrations").iterdir()
        if (match := re.fullmatch(r"(\d{4})_\w+\.sql", entry.name))
    ]
    return sorted(numbered)


def refuse_newer(database: object, version: int, known_schema: int, /, **context: Any) -> None:
    """Raise SchemaTooNew if a newer Backstay has migrated the database."""
    if version > known_schema:
        raise SchemaTooNew(
            f"{database} was written by a newer Backstay (schema {version}, this one knows {known_schema}); "
            "install the newest version of Backstay",
            **context,
            schema=version,
        )


def refuse_live_workers(execute: Execute, table: str, reason: str, /, **context: Any) -> None:
    """Raise SchemaOutdated if a worker in the table may be alive. `reason` begins the message, as in `X needs …`."""
    columns = "host, boot_id, pid, lock_path, lock_device, lock_inode"
    for row in execute(f"SELECT {columns} FROM {table}"):  # noqa: S608 - the names above, and the caller's own table
        worker = WorkerIdentity(*row)
        if not liveness.is_proven_dead(worker):
            raise SchemaOutdated(
                f"{reason}, but a worker (process {worker.pid} on {worker.host}) may be using it; "
                "stop it first, then try again",
                **context,
            )


def compute_fingerprints(execute: Execute, execute_with: ExecuteWith, table: str, placeholder: str) -> None:
    """Compute the fingerprints of the recipes that a migration has copied into the table of revisions."""
    for job_key, recipe in list(execute(f"SELECT job_key, recipe FROM {table} WHERE fingerprint = ''")):  # noqa: S608 - as above
        execute_with(
            f"UPDATE {table} SET fingerprint = {placeholder} WHERE job_key = {placeholder}",  # noqa: S608 - as above
            (digest_of(orjson.loads(recipe)), job_key),
        )
