"""Ids of all kinds: each is accepted by every entry point and selects exactly itself wherever it is shown."""

import asyncio
import json
import re
import sqlite3
from html import unescape
from urllib.parse import quote, unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backstay import Backstay, Conversation, Turn
from backstay.library.id_text import id_fault, printed_id
from backstay.settings import Settings
from support.harness.sampling import FULL
from support.servers.api import serving

_USUAL = ["a/b", "user@example.com", "item #3", "a/items", "用户 1", "👩\u200d🚀", "x?y=1&z", "%2e%2e", "a/../b", "/a/"]
_ODD = [
    "good",
    "good\u200e",
    "g\u043eod",
    "e\u0301",
    "é",
    "a  b",
    "a b",
    "a\u00a0b",
    "-v",
    "a\\b",
    "...",
    "\ufeffa",
]
_IDS = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("/?#%.\\ -\u200e\u0301"), min_size=1, max_size=12
)
_MANY = st.lists(_IDS.filter(lambda text: id_fault(text) is None), min_size=1, max_size=4)
_OLD = [" a", "a", "a ", "a\nb", "b", "a\tb", "a\rb", "..", "\u200b", " ", "x" * 600]


def _with_rivals(ids):
    """Return ids together with their printed forms, where these are ids of their own."""
    return list(dict.fromkeys([*ids, *(printed for printed in map(printed_id, ids) if id_fault(printed) is None)]))


def _file(path, ids):
    rows = [{"id": conversation_id, "messages": [{"role": "user", "content": "Hi"}]} for conversation_id in ids]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


async def _answer(item):
    return Conversation([Turn("user", item.topic)], id=item.id)


async def _create_conversations(database, ids):
    async with Backstay.open(database) as backstay:
        result = await backstay.batches.run("made", [{"id": item_id, "topic": "x"} for item_id in ids], _answer)
    assert result.completed == len(ids)


async def _through_the_server(options, ids, *, are_new=True):
    """Read and select each conversation id; also use each as the name of a job, where jobs are new."""
    async with serving(options, local=True) as api:
        listed = (await api.ann.get("/api/conversations", params={"limit": 200})).json()["conversations"]
        assert sorted(row["id"] for row in listed) == sorted(ids)
        page = (await api.ann.get("/conversations")).text
        boxes = [unescape(box) for box in re.findall(r'type="checkbox" name="id" value="([^"]*)"', page)]
        assert boxes == [printed_id(row["id"]) for row in listed]
        for conversation_id in ids:
            if conversation_id != "..":  # clients resolve it to the parent path
                assert (await api.ann.get(f"/api/conversations/{quote(conversation_id, safe='')}")).json()[
                    "id"
                ] == conversation_id
            read = await api.ann.get("/conversations/one", params={"id": conversation_id})
            assert f"<code>{printed_id(conversation_id)}</code>" in unescape(read.text)
            body = {"selection": {"conversationIds": [conversation_id]}}
            plan = (await api.ann.post("/api/conversations/delete-plan", json=body)).json()
            assert [sample["id"] for sample in plan["sample"]] == [conversation_id]
            for field in ("id", "ids"):
                body = await api.ann.post(
                    "/conversations/export", data={field: printed_id(conversation_id), "format": "native"}
                )
                assert [json.loads(line)["id"] for line in body.text.splitlines()] == [conversation_id]
        for name in ids[::3] if are_new else ():
            await _as_a_job(api, name, ids)


async def _as_a_job(api, name, ids):
    body = {
        "jobId": name, "items": [{"id": item_id, "topic": "x"} for item_id in ids], "processor": "scripted",
        "start": False,
    }  # fmt: skip
    made = await api.ann.post("/api/batches", json=body)
    assert made.status_code == 201, made.text
    address = f"/api/batches/{quote(name, safe='')}"
    assert unquote(made.headers["location"]) == f"/api/batches/{name}"
    assert (await api.ann.get(address)).json()["id"] == name
    listed = (await api.ann.get(f"{address}/items", params={"limit": 200})).json()["items"]
    assert [job["id"] for job in listed] == ids
    assert f'<h1 class="clip">{printed_id(name)}</h1>' in unescape(
        (await api.ann.get("/batches/one", params={"id": name})).text
    )


def _listed(command, database):
    return [line.split("\t")[0] for line in command("--database", database, "conversations", "list").out.splitlines()]


def _check_that_each_is_listed_as_itself(command, database, ids):
    listed = _listed(command, database)
    assert sorted(listed) == sorted(map(printed_id, ids)), f"listed as {listed}"


def _through_commands(command, database, ids):
    _check_that_each_is_listed_as_itself(command, database, ids)
    for conversation_id in ids:
        output = command("--database", database, "conversations", "show", printed_id(conversation_id), "--json")
        assert output.json["id"] == conversation_id
    selected = [printed_id(conversation_id) for conversation_id in ids[::2]]
    plan = command("--database", database, "conversations", "delete", *selected, "--dry-run", "--json").json
    assert plan["conversations"] == len(selected)
    assert {sample["id"] for sample in plan["sample"]} <= set(ids[::2])


def _jobs_through_commands(command, database, ids):
    listed = command("--database", database, "jobs").out.splitlines()
    assert sorted(line.split("\t")[0] for line in listed) == sorted(map(printed_id, ids[::3]))
    for job_id in ids[::3]:
        assert command("--database", database, "status", printed_id(job_id), "--json").json["id"] == job_id
        skipped = command("--database", database, "skip", printed_id(job_id), printed_id(ids[0]), "--json")
        assert (skipped.json["job"]["id"], skipped.json["skipped"]) == (job_id, 1)


def _check(command, folder, ids):
    ids = _with_rivals(ids)
    database, other = str(folder / "brought.db"), str(folder / "made.db")
    assert command("--database", database, "conversations", "import", _file(folder / "in.jsonl", ids)).code == 0
    asyncio.run(_create_conversations(other, ids))
    assert sorted(_listed(command, other)) == sorted(map(printed_id, ids))
    _through_commands(command, database, ids)
    options = Settings(database_url=database, backup_directory=str(folder / "backups"), here=folder)
    asyncio.run(_through_the_server(options, ids))
    _jobs_through_commands(command, database, ids)


def test_each_id_selects_itself(command, tmp_path):
    """Realistic ids and ids that look alike are each listed and selected as themselves."""
    _check(command, tmp_path, _USUAL + _ODD)


@settings(
    max_examples=100 if FULL else 2, deadline=None, database=None, derandomize=not FULL,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(ids=_MANY)
def test_any_id_selects_itself(command, tmp_path_factory, ids):
    """Any accepted id is listed and selected as itself through every entry point."""
    _check(command, tmp_path_factory.mktemp("ids"), ids)


def test_what_was_printed_without_escapes_selected_another(command, tmp_path, monkeypatch):
    """Control: without escapes, two ids are printed alike and the wrong one is selected."""
    monkeypatch.setattr("backstay.cli.commands.conversations.printed_id", lambda text: text)
    database = str(tmp_path / "backstay.db")
    ids = ["good\u200e", "good"]
    command("--database", database, "conversations", "import", _file(tmp_path / "in.jsonl", ids))

    with pytest.raises(AssertionError, match=r"^listed as \['good', 'good'\]"):
        _check_that_each_is_listed_as_itself(command, database, ids)


def test_old_ids_stay_usable(command, tmp_path):
    """Conversations with ids that only older versions allowed can be read, deleted alone and restored."""
    database = str(tmp_path / "backstay.db")
    command("--database", database, "conversations", "import", _file(tmp_path / "in.jsonl", map(str, range(len(_OLD)))))
    with sqlite3.connect(database) as direct:
        direct.executemany(
            "UPDATE conversations SET id = ? WHERE id = ?", [(old_id, str(at)) for at, old_id in enumerate(_OLD)]
        )
    before = command("--database", database, "conversations", "export", "--all", "--format", "native").out

    _through_commands(command, database, _OLD)
    options = Settings(database_url=database, backup_directory=str(tmp_path / "backups"), here=tmp_path)
    asyncio.run(_through_the_server(options, _OLD, are_new=False))
    for old_id in (" a", "a\nb", "..", "x" * 600):
        deleted = command("--database", database, "conversations", "delete", printed_id(old_id), "--yes", "--json").json
        remaining = [
            line.split("\t")[0] for line in command("--database", database, "conversations", "list").out.splitlines()
        ]
        assert sorted(remaining) == sorted(printed_id(other) for other in _OLD if other != old_id)
        command("--database", database, "backups", "restore", deleted["backupId"], "--yes")

    after = command("--database", database, "conversations", "export", "--all", "--format", "native").out
    assert sorted(after.splitlines()) == sorted(before.splitlines())


@pytest.mark.parametrize("invalid", [" a", "a\nb", "..", "x" * 513])
async def test_what_is_no_id_is_refused_at_every_way_in(invalid, settings):
    """An invalid id is refused with its location through a batch, a job name and an import."""
    async with serving(settings) as api:
        body = {
            "jobId": "job",
            "items": [{"id": "good", "topic": "x"}, {"id": invalid, "topic": "x"}],
            "processor": "scripted",
        }
        item = await api.ann.post("/api/batches", json=body)
        job = await api.ann.post("/api/batches", json={**body, "jobId": invalid, "items": [{"topic": "x"}]})
        rows = b"\n".join(
            json.dumps({"id": name, "messages": [{"role": "user", "content": "Hi"}]}).encode()
            for name in ("good", invalid)
        )
        brought = await api.ann.post("/api/conversations/import", files={"file": ("in.jsonl", rows)})

        assert [answer.status_code for answer in (item, job, brought)] == [422] * 3, item.text
        assert item.json()["error"]["details"]["line"] == brought.json()["error"]["details"]["line"] == 2
        assert (await api.ann.get("/api/conversations")).json()["conversations"] == []
