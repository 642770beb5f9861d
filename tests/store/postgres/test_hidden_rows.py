"""Rows of user tables that a row-level security policy hides from Backstay's role, but a cascade would delete."""

import pytest

from backstay import Backstay
from backstay.errors import DeleteBlocked, StoreDenied
from support.stores import postgres
from support.stores.library import ALL, filled
from support.stores.sql import ask

pytestmark = pytest.mark.promise("K1")

_HIDDEN = """
SET search_path = public;
CREATE TABLE notes (chat bigint REFERENCES backstay.conversations (key) ON DELETE CASCADE, words text);
INSERT INTO notes VALUES (1, 'seen by no one');
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE ROLE {role} LOGIN PASSWORD '{role}';
GRANT USAGE ON SCHEMA backstay TO {role};
GRANT ALL ON ALL TABLES IN SCHEMA backstay TO {role};
GRANT ALL ON ALL SEQUENCES IN SCHEMA backstay TO {role};
GRANT SELECT ON notes TO {role};
"""


async def test_hidden_rows_block_a_delete(tmp_path, monkeypatch):
    """A delete is refused if it would also delete rows that the role cannot read and back up."""
    postgres.need_a_server()
    url = postgres.fresh_database()
    role = url.rsplit("/", 1)[1].replace("backstay", "role")
    monkeypatch.setenv("BACKUP_DIRECTORY", str(tmp_path))
    try:
        await filled(url, 2, job=False)
        ask(url, _HIDDEN.replace("{role}", role))
        server = url.split("@", 1)[1]
        async with Backstay.open(f"postgresql://{role}:{role}@{server}") as backstay:
            with pytest.raises(StoreDenied, match="row-level security"):
                await backstay.conversations.delete(ALL)

            ask(url, "ALTER TABLE public.notes DISABLE ROW LEVEL SECURITY")
            with pytest.raises(
                DeleteBlocked, match=r"1 row of public\.notes would be deleted or changed .* `GRANT INSERT, UPDATE ON"
            ):
                await backstay.conversations.delete(ALL)

        assert ask(url, "SELECT count(*) FROM public.notes") == [(1,)]
        assert ask(url, "SELECT count(*) FROM conversations") == [(2,)]
    finally:
        ask(url, f"DROP OWNED BY {role}; DROP ROLE {role}")
        postgres.drop_database(url)
