"""Views for an app that expects the tables of the original design: one row per job, and one per backup."""

import pytest

from support.stores import supabase
from support.stores.sql import ask

# As that design has them, but that names and reasons are text, and so are owners without a table of users.
_CHECKPOINT = {
    "id": "uuid",
    "job_id": "text",
    "completed_items": "jsonb",
    "failed_items": "jsonb",
    "progress_percentage": "integer",
    "last_checkpoint_at": "timestamp with time zone",
    "created_at": "timestamp with time zone",
    "updated_at": "timestamp with time zone",
    "owner": "text",
}
_EXPORT = {
    "id": "uuid",
    "backup_id": "text",
    "user_id": "text",
    "file_path": "text",
    "conversation_ids": "jsonb",
    "backup_reason": "text",
    "expires_at": "timestamp with time zone",
    "created_at": "timestamp with time zone",
}


def _columns(url: str, view: str) -> list[tuple[str, str]]:
    return ask(
        url,
        "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute"
        " WHERE attrelid = ?::regclass AND attnum > 0 ORDER BY attnum",
        view,
    )


def test_columns_have_the_types_of_the_design(url):
    """The views have the columns of that design, with its names, order and types."""
    assert _columns(url, "batch_checkpoints") == list(_CHECKPOINT.items())
    assert _columns(url, "backup_exports") == list(_EXPORT.items())


@pytest.mark.promise("K4")
def test_a_user_is_a_uuid_next_to_supabase():
    """Next to a table of users the view of backups shows the UUID of the user that owns a backup."""
    with supabase.database() as url:
        assert _columns(url, "batch_checkpoints") == list(_CHECKPOINT.items())
        assert _columns(url, "backup_exports") == list({**_EXPORT, "user_id": "uuid"}.items())
