"""The guide for existing apps, word for word, on a database like Supabase's."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from support.stores import supabase
from support.stores.sql import ask

_ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_guide_works_word_for_word(tmp_path):
    """The guide leads from an empty project to a batch and an undone delete, including the app's rows."""
    blocks = _BLOCK.findall((_ROOT / "docs" / "guides" / "existing-apps.md").read_text())
    tables, chats = [text for language, text in blocks if language == "sql"]
    scripts = [text for language, text in blocks if language == "sh"]
    (tmp_path / "examples").symlink_to(_ROOT / "examples")
    with supabase.database(migrated=False) as url:
        surroundings = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("BACKSTAY", "BACKUP"))},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "BACKSTAY_DATABASE_URL": url,
            "BACKSTAY_OWNER": supabase.ANN,
        }

        def run(*lines):
            ran = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
                check=False, cwd=tmp_path, capture_output=True, text=True, timeout=120, env=surroundings,
            )  # fmt: skip
            assert ran.returncode == 0, ran.stderr
            return ran.stdout

        first, batch, delete, check, adopt = scripts
        run(first, batch)
        ask(url, tables)
        before = ask(url, "SELECT c::text FROM public.chat_tags AS c ORDER BY 1")
        ended = run('export BACKUP_DIRECTORY="$PWD/backups"', delete)

        assert "Also 120 rows in public.chat_tags" in ended
        assert "120 conversations deleted." in ended
        assert "120 conversations restored, 120 items linked to them again, 120 related rows with them." in ended
        assert ask(url, "SELECT c::text FROM public.chat_tags AS c ORDER BY 1") == before
        assert len(before) == 120
        planned = json.loads(run("backstay conversations delete --job topics --dry-run --json"))
        assert planned["related"] == [{"table": "public.chat_tags", "rows": 120, "action": "deleted"}]
        assert planned["triggers"] == []
        with supabase.as_role(url, "authenticated", supabase.ANN) as ann:
            assert ann.execute("SELECT count(*) FROM backstay.conversations").fetchall() == [(120,)]
        with supabase.as_role(url, "authenticated", supabase.BOB) as bob:
            assert bob.execute("SELECT count(*) FROM backstay.conversations").fetchall() == [(0,)]

        ask(url, chats)
        before = _of_the_app(url)
        checked = run(check)
        assert "public.chats (20 rows) would be conversations" in checked
        assert "Works: list, search, export, backup, delete, restore, import, generating" in checked
        ended = run(adopt)
        assert "public.messages (40 rows) are now turns" in ended
        assert "1 conversation deleted." in ended
        assert "1 conversation restored, 1 related row with them." in ended
        assert ask(url, "SELECT count(*) FROM public.chats") == [(140,)]
        made = (
            "SELECT chat_id FROM public.chats JOIN chats.conversations ON id = chat_id::text WHERE job_id IS NOT NULL"
        )
        ask(url, f"DELETE FROM public.chats WHERE chat_id IN ({made})")
        assert _of_the_app(url) == before
        with supabase.as_role(url, "service_role") as service:
            assert service.execute("SELECT count(*) FROM chats.adopted_conversations").fetchall() == [(20,)]


def _of_the_app(url):
    tables = ("chats", "messages", "stars")
    return [ask(url, f"SELECT t::text FROM public.{table} AS t ORDER BY 1") for table in tables]
