"""Corrections of conversations over HTTP."""

import asyncio
import json

import pytest

from support.data.conversations import with_tools


@pytest.fixture
async def conversation(api):
    """Return a function that reads Ann's only conversation."""
    (conversation_id,) = await api.made(1)

    async def read():
        return (await api.ann.get(f"/api/conversations/{conversation_id}")).json()

    return read


async def _edit(api, conversation_id, **body):
    return await api.ann.put(f"/api/conversations/{conversation_id}/content", json=body)


async def _versions(api, conversation_id):
    return (await api.ann.get(f"/api/conversations/{conversation_id}/versions")).json()["versions"]


async def test_edit_of_turns_is_stored(api, conversation):
    """The turns that a client has read can be sent back edited; each version can be read, compared and brought back."""
    before = await conversation()
    address = f"/api/conversations/{before['id']}"
    turns = [{**before["turns"][0], "content": "Edited"}, *before["turns"][2:], {"role": "user", "content": "New"}]

    edited = await _edit(api, before["id"], expected=before["digest"], turns=turns, editor="Ann")

    assert edited.status_code == 200, edited.text
    assert edited.json() == await conversation()
    contents = [turn["content"] for turn in before["turns"]]
    assert [turn["content"] for turn in edited.json()["turns"]] == ["Edited", *contents[2:], "New"]
    assert [(version["editor"], version["isCurrent"]) for version in await _versions(api, before["id"])] == [
        (None, False),
        ("Ann", True),
    ]
    assert (await api.ann.get(f"{address}/versions/1")).json() == before
    difference = (await api.ann.get(f"{address}/difference")).json()
    assert (difference["before"], difference["after"]) == (1, 2)
    assert [turn["change"] for turn in difference["turns"]] == ["changed", "removed", "same", "same", "added"]
    assert (await api.ann.get(f"{address}/difference?before=2&after=1")).json()["before"] == 2
    reverted = (await api.ann.post(f"{address}/revert", json={"expected": edited.json()["digest"]})).json()
    assert [turn["content"] for turn in reverted["turns"]] == contents


async def test_fields_of_turns_come_back(api, tmp_path):
    """Every field of a turn, and tools, survive being read, sent back and stored with a new topic."""
    row = json.dumps({**with_tools(id="tools").to_dict(), "created_at": None, "updated_at": None})
    await api.ann.post("/api/conversations/import", files={"file": ("a.jsonl", row.encode())})
    before = (await api.ann.get("/api/conversations/tools")).json()

    edited = await _edit(api, "tools", expected=before["digest"], turns=before["turns"], topic="New", persona=None)

    assert edited.status_code == 200, edited.text
    changed = {
        "topic": "New",
        "persona": None,
        "digest": edited.json()["digest"],
        "updatedAt": edited.json()["updatedAt"],
    }
    assert edited.json() == {**before, **changed}


async def test_what_is_left_out_stays(api, conversation):
    """A body with only a persona changes nothing else."""
    before = await conversation()

    edited = (await _edit(api, before["id"], expected=before["digest"], persona="Ünï")).json()

    assert edited["persona"] == "Ünï"
    assert (edited["topic"], edited["turns"]) == (before["topic"], before["turns"])


async def test_second_editor_gets_both_versions(api, conversation):
    """The second of two editors is told, and gets back what was sent with the conversation as it is now."""
    before = await conversation()
    first = (await _edit(api, before["id"], expected=before["digest"], topic="first")).json()
    turns = [{"role": "user", "content": "second"}]

    refused = await _edit(api, before["id"], expected=before["digest"], turns=turns, topic=None)

    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (409, "conversation_changed")
    assert error["message"].endswith("the edit was not stored. Read it again, and compare")
    assert error["details"]["current"] == first == await conversation()
    assert error["details"]["submitted"] == {"turns": turns, "topic": None}
    assert (error["details"]["expected"], error["details"]["found"]) == (before["digest"], first["digest"])
    outdated = await api.ann.post(
        f"/api/conversations/{before['id']}/revert", json={"expected": before["digest"], "to": 1}
    )
    assert (outdated.status_code, outdated.json()["error"]["details"]["current"]) == (409, first)


async def test_edit_may_be_repeated(api, conversation):
    """The same edit sent twice, or by eight clients at once, is stored once and answered alike."""
    before = await conversation()

    responses = await asyncio.gather(
        *(_edit(api, before["id"], expected=before["digest"], topic="new") for _ in range(8))
    )

    assert {response.status_code for response in responses} == {200}
    assert {response.text for response in responses} == {responses[0].text}
    assert len(await _versions(api, before["id"])) == 2


async def test_only_one_of_many_editors_wins(api, conversation):
    """Of eight different edits of one version exactly one is stored."""
    before = await conversation()

    responses = await asyncio.gather(
        *(_edit(api, before["id"], expected=before["digest"], topic=str(number)) for number in range(8))
    )

    assert sorted(response.status_code for response in responses) == [200, *[409] * 7]
    assert len(await _versions(api, before["id"])) == 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"topic": "x"}, "expected: "),
        ({"expected": "x"}, "expected: "),
        ({"turns": []}, "turns: "),
        ({"turns": [{"role": "user"}]}, "turns.0.content: "),
        ({"turns": [{"role": "user", "content": "a\0b"}]}, "turns.0.content: "),
        ({"turns": [{"role": "user", "content": "a", "text": "b"}]}, "turns.0.text: "),
        ({"turns": [{"role": "user", "content": " "}]}, "The edit cannot be stored: turn 1 is empty"),
        ({"turns": [{"role": "judge", "content": "a"}]}, "The edit cannot be stored: turn 1 has the role"),
        ({"editor": "x" * 1_001}, "editor: "),
    ],
)  # fmt: skip
async def test_invalid_edit_is_named(api, conversation, body, message):
    """An edit that cannot be stored is refused with 422 and names the field or the turn."""
    before = await conversation()
    expected = {} if "topic" in body else {"expected": before["digest"]}

    refused = await _edit(api, before["id"], **{**expected, **body})

    assert refused.status_code == 422, refused.text
    assert refused.json()["error"]["message"].startswith(message)
    assert await conversation() == before


async def test_versions_that_do_not_exist(api, conversation):
    """A version that does not exist is missing, and one that is no number is refused."""
    before = await conversation()
    address = f"/api/conversations/{before['id']}"

    missing = [await api.ann.get(f"{address}/{path}") for path in ("versions/2", "difference", "difference?before=9")]

    assert [(each.status_code, each.json()["error"]["code"]) for each in missing] == [(404, "version_not_found")] * 3
    for path in ("versions/0", "versions/x", f"versions/{2**31}", "difference?before=0"):
        assert (await api.ann.get(f"{address}/{path}")).status_code == 422
    assert (await api.ann.get(f"{address}/versions/1")).json() == before


async def test_ids_with_slashes_have_versions(api):
    """A conversation whose id ends like a route is edited and compared by its encoded id."""
    row = {"id": "a/versions", "messages": [{"role": "user", "content": "Hi"}]}
    await api.ann.post("/api/conversations/import", files={"file": ("a.jsonl", json.dumps(row).encode())})
    before = (await api.ann.get("/api/conversations/a%2Fversions")).json()

    edited = await _edit(api, "a%2Fversions", expected=before["digest"], topic="New")

    assert (edited.status_code, edited.json()["id"]) == (200, "a/versions")
    assert len(await _versions(api, "a%2Fversions")) == 2
