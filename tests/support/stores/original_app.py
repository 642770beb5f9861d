"""A database with the original library's tables, as its documentation declares them, and a folder of its files."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from backstay.app import Backstay
from backstay.settings import Settings
from support.stores import postgres

TABLES = """
CREATE TABLE batch_checkpoints (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id text,
    completed_items jsonb NOT NULL DEFAULT '[]',
    failed_items jsonb NOT NULL DEFAULT '[]',
    progress_percentage integer DEFAULT 0,
    last_checkpoint_at timestamptz DEFAULT now(),
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);
CREATE TABLE backup_exports (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    backup_id varchar(100) UNIQUE NOT NULL,
    user_id uuid,
    file_path text,
    conversation_ids jsonb NOT NULL,
    backup_reason varchar(100),
    expires_at timestamptz,
    created_at timestamptz DEFAULT now()
);
"""
MADE_AT = datetime(2025, 11, 4, 10, 0, tzinfo=UTC)
BACKUP = "backup-1730720400123-abc123"


def conversation(number: int, *, turns: int = 2, **more: Any) -> dict[str, Any]:
    """Return one as the original library's file has it: columns of an app's own included."""
    said = [
        {
            "id": f"turn-{number}-{sequence}",
            "content": f"Turn {sequence} of {number}: «ñ» 🙂",
            "role": ("user", "assistant")[sequence % 2],
            "sequence": sequence,
            "token_count": 7 * sequence,
        }
        for sequence in range(1, turns + 1)
    ]
    return {
        "id": f"conv-{number}",
        "title": f"About {number}",
        "content": f"Content of {number}",
        "persona": "Expert",
        "quality_score": 4.5,
        "tags": ["a", None, {"deep": [number]}],
        "created_at": "2025-11-01T09:30:00.123+00:00",
        **more,
        "conversation_turns": said,
    }


@dataclass(frozen=True, slots=True)
class Original:
    """What an app of the original library has."""

    url: str
    folder: Path

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description is not None else []

    def checkpoint(
        self, job_id: str, completed: Iterable[Any] = (), failed: Iterable[Any] = (), progress: int | None = 40
    ) -> None:
        self.sql(
            "INSERT INTO batch_checkpoints (job_id, completed_items, failed_items, progress_percentage)"
            " VALUES (%s, %s, %s, %s)",
            job_id, Jsonb(list(completed)), Jsonb(list(failed)), progress,
        )  # fmt: skip

    def backup(
        self,
        conversations: Sequence[Mapping[str, Any]],
        backup_id: str = BACKUP,
        *,
        said: Sequence[Any] | None = None,
        user_id: str | None = None,
        lives: timedelta | None = timedelta(days=3),
        reason: str | None = "bulk_delete",
        indent: int | None = 2,
    ) -> Path:
        """Make a backup with its record and its file; return where that is."""
        path = self.folder / f"{backup_id}.json"
        whole = {
            "version": "1.0",
            "createdAt": "2025-11-04T10:00:00.000Z",
            "backupReason": reason,
            "conversations": list(conversations),
        }
        path.write_text(json.dumps(whole, indent=indent, ensure_ascii=False), encoding="utf-8")
        ids = [document["id"] for document in conversations] if said is None else list(said)
        expires_at = datetime.now(UTC) + lives if lives is not None else None
        self.sql(
            "INSERT INTO backup_exports"
            " (backup_id, user_id, file_path, conversation_ids, backup_reason, expires_at, created_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            backup_id, user_id, f"/backups/{backup_id}.json", Jsonb(ids), reason, expires_at, MADE_AT,
        )  # fmt: skip
        return path

    def backstay(self, *, owner: str = "local") -> Backstay:
        return Backstay(
            Settings(database_url=self.url, owner=owner, backup_directory=str(self.folder), here=self.folder)
        )

    def empty(self) -> None:
        """Have nothing in any table but in those that say which database this is."""
        excluded = "('meta', 'migrations')"
        tables = self.sql(
            "SELECT string_agg(oid::regclass::text, ', ') FROM pg_class WHERE relkind = 'r'"
            f" AND relnamespace IN ('public'::regnamespace, 'backstay'::regnamespace) AND relname NOT IN {excluded}"
        )
        self.sql(f"TRUNCATE {tables[0][0]} RESTART IDENTITY CASCADE; DROP SCHEMA IF EXISTS other CASCADE")

    def everything(self) -> list[tuple[Any, ...]]:
        """All that the original library has in its tables, and its files."""
        rows = self.sql("SELECT c::text FROM batch_checkpoints AS c UNION ALL SELECT b::text FROM backup_exports AS b")
        return sorted(rows) + sorted((path.name, path.read_bytes()) for path in self.folder.glob("*.json"))


@contextmanager
def original(folder: Path, *, migrated: bool = True, tables: str = TABLES) -> Iterator[Original]:
    """Make a database with the original library's tables, and ours unless said otherwise."""
    postgres.need_a_server()
    url = postgres.fresh_database(migrated=migrated)
    try:
        made = Original(url, folder)
        made.sql(tables)
        yield made
    finally:
        postgres.drop_database(url)
