"""`backstay adopt` as text and as JSON."""

import json

import pytest

from support.stores import chat_app, postgres
from support.stores.supabase import ANN

_WORDS = (
    "--conversations", "public.chats", "--turns", "public.messages", "--map", "id=chat_id,owner=user_id,topic=title",
    "--map", "turns.role=sender,turns.content=body,turns.order=created_at",
)  # fmt: skip


@pytest.fixture(scope="module")
def url():
    postgres.need_a_server()
    url = chat_app.fresh_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def command(within, url, tmp_path, monkeypatch):
    """Run `backstay` as one of the app's users, with a folder for backups."""
    for name, value in {"DATABASE_URL": url, "OWNER": ANN}.items():
        monkeypatch.setenv(f"BACKSTAY_{name}", value)
    monkeypatch.setenv("BACKUP_DIRECTORY", str(tmp_path))
    return within


def test_from_the_check_to_the_undo(command, url):
    """`adopt` reports the same in a check, in the adoption and in the undo, and doctor lists the adopted tables."""
    checked = command("adopt", "--check", *_WORDS)
    result = json.loads(command("adopt", "--json", *_WORDS).out)
    again = command("adopt", *_WORDS)
    looked = json.loads(command("doctor", "--deep", "--json").out)
    chat_app.sql(url, "ALTER TABLE chats ADD COLUMN later text")
    changed = json.loads(command("doctor", "--json").out)
    undone = command("adopt", "--undo")
    twice = json.loads(command("adopt", "--undo", "--json").out)

    assert (
        "public.chats (13 rows) would be conversations\n  id = chat_id, owner = user_id, topic = title" in checked.out
    )
    assert "Works: list, search, export, backup, delete, restore, import, generating" in checked.out
    assert "Rows of public.chats without user_id: 1." in checked.err
    assert (result["isCheck"], result["wasAdopted"], result["notWritableReasons"]) == (False, False, [])
    assert [table["userTable"] for table in result["tables"]] == ["public.chats", "public.messages"]
    assert "public.messages (52 rows) are already turns" in again.out
    assert _adopted(looked) == ("ok", "conversations are those of public.chats and turns are those of public.messages")
    assert _adopted(changed)[0] == "problem"
    assert undone.out == "public.chats and public.messages are no longer adopted; their rows are unchanged.\n"
    assert (twice["unadopted"], twice["dropped"], twice["isCheck"]) == ([], [], False)


def test_what_doctor_says_about_changed_columns_helps(command, url):
    """`doctor` names the command for columns that have changed, and what to do first if one prevents storing."""

    def remedy() -> str | None:
        checks = json.loads(command("doctor", "--json").out)["checks"]
        return next(check["remedy"] for check in checks if check["name"] == "adopted")

    command("adopt", *_WORDS)
    chat_app.sql(url, "ALTER TABLE chats ADD COLUMN needed text NOT NULL DEFAULT ''")
    chat_app.sql(url, "ALTER TABLE chats ALTER COLUMN needed DROP DEFAULT")
    changed = remedy()
    command("adopt", *_WORDS)
    required = remedy()
    chat_app.sql(url, "ALTER TABLE chats ALTER COLUMN needed SET DEFAULT ''")
    command("adopt", *_WORDS)
    corrected = remedy()
    command("adopt", "--undo")
    chat_app.sql(url, "ALTER TABLE chats DROP COLUMN needed")

    assert changed == "run `backstay adopt` again, with the present names"
    assert required == "correct that, then run `backstay adopt` again"
    assert corrected is None


def test_undo_confirms_the_values_it_deletes(command, tmp_path):
    """`adopt --undo` counts the values that would be deleted, and needs a confirmation."""
    (tmp_path / "items.csv").write_text("topic\na\nb\n")
    command("adopt", *_WORDS)
    ran = command("run", str(tmp_path / "items.csv"), "--model", "scripted")

    ended = command("adopt", "--undo")
    checked = json.loads(command("adopt", "--undo", "--check", "--json").out)
    undone = command("adopt", "--undo", "--yes")

    assert (ran.code, ended.code) == (0, 2)
    assert (
        "delete the values of 2 conversations that have no column there? There is no terminal" in ended.one_line_error()
    )
    assert (checked["isCheck"], checked["conversations"], checked["turns"]) == (True, 2, 0)
    assert undone.out.endswith("Deleted: the values of 2 conversations that have no column there.\n")


def _adopted(report):
    return next((item["level"], item["message"]) for item in report["checks"] if item["name"] == "adopted")


@pytest.mark.parametrize(
    "words, why",
    [
        (
            ("--turns", "public.messages"),
            "table of conversations to adopt is not named; for instance --conversations public.chats",
        ),
        ((*_WORDS, "--map", "topic"), "--map takes pairs of name=column, not 'topic'"),
        ((*_WORDS, "--map", "id=user_id"), "names the column of id twice"),
        ((*_WORDS, "--map", "persona=nothing"), "public.chats has no column 'nothing'"),
    ],
)
def test_refusals_are_one_line(command, words, why):
    """Wrong usage of `adopt` is refused in one line that names the remedy."""
    refused = command("adopt", *words)

    assert refused.code == 2
    assert why in refused.one_line_error()
