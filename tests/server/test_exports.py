"""Exports over HTTP: one file, or an error before it begins."""

import json

import pytest

_CALL = {"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
_TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is the weather?"},
    {"role": "assistant", "content": "", "metadata": {"tool_calls": [_CALL], "reasoning": "Hm."}},
    {"role": "tool", "content": "Rain", "metadata": {"tool_call_id": "call-1"}},
    {"role": "assistant", "content": "It rains."},
]


@pytest.fixture
async def export(api):
    """A function that exports a library of one conversation with tools and two without."""
    row = json.dumps({"id": "tools", "topic": "rain", "conversation_turns": _TURNS})
    answer = await api.ann.post("/api/conversations/import", files={"file": ("rows.jsonl", row.encode())})
    assert answer.status_code == 201, answer.text
    await api.made(2)

    async def export(**body):
        return await api.ann.post("/api/conversations/export", json=body)

    return export


async def test_no_selection_means_everything(export):
    """A request without any condition exports all; one with conditions that are all null or false is refused."""
    everything = await export()
    refused = [await export(all=False), await export(conversationIds=None), await export(conversationIds=[])]

    assert (everything.status_code, everything.text.count("\n")) == (200, 3)
    assert [answer.status_code for answer in refused] == [422, 422, 422]


async def test_losses_are_refused_with_their_counts(export):
    """What a format cannot hold is a refusal with counts in `details`; `lossy` leaves it out."""
    refused = await export(format="sharegpt")
    allowed = await export(format="sharegpt", lossy=True)
    of_plain_ones = await export(format="sharegpt", jobId="job")

    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["remedy"]) == (422, "lossy_export", "allow_losses")
    assert error["details"] == {
        "format": "sharegpt",
        "losses": [
            {"loss": "ids of tool calls", "count": 2, "conversations": 1},
            {"loss": "reasoning", "count": 1, "conversations": 1},
        ],
    }
    assert "with `lossy` the export leaves exactly that out" in error["message"].replace("With", "with")
    assert (allowed.status_code, allowed.text.count("\n")) == (200, 3)
    assert (of_plain_ones.status_code, of_plain_ones.text.count("\n")) == (200, 2)


async def test_a_plan_has_the_counts_of_the_export(api, export):
    """The plan of an export has its losses, the fields that are not written, and what trainers would refuse."""
    asking = {"id": "asking", "topic": "rain", "conversation_turns": _TURNS[1:2]}
    (await api.ann.post("/api/conversations/import", files={"file": ("a.json", json.dumps([asking]).encode())}))

    async def plan(**body):
        return await api.ann.post("/api/conversations/export-plan", json=body)

    lossy = (await plan(format="sharegpt")).json()
    strict = await plan(format="messages", conversationIds=["asking"], strict=True, metadata=True)
    missing = await plan(conversationIds=["none"])

    refused = (await export(format="sharegpt")).json()["error"]
    assert lossy["losses"] == refused["details"]["losses"]
    assert (lossy["exported"], lossy["format"], lossy["leftOut"]["topic"], lossy["warned"]) == (4, "sharegpt", 4, 1)
    assert [warning["kind"] for warning in lossy["warnings"]] == ["no_assistant"]
    assert (strict.status_code, strict.json()["warned"], strict.json()["leftOut"]) == (200, 1, {})
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "conversation_not_found")


async def test_options_change_what_is_written(export):
    """Reasoning, system messages and metadata are written as the request says."""
    answer = await export(conversationIds=["tools"], reasoning="inline", system="drop", metadata=True)
    dropped = await export(conversationIds=["tools"], reasoning="drop")
    excel = await export(jobId="job", format="csv", excel=True)

    line = json.loads(answer.text)
    assert [message["role"] for message in line["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert line["messages"][1]["content"].startswith("<think>\nHm.")
    assert "rain" in json.dumps({name: value for name, value in line.items() if name != "messages"})
    assert "Hm." not in dropped.text
    assert excel.content.startswith(b"\xef\xbb\xbfconversation_id")


@pytest.mark.parametrize("body", [{"reasoning": "think"}, {"system": True}, {"lossy": "yes"}, {"split": "train=1"}])
async def test_wrong_options_are_refused(export, body):
    """An unknown value, a wrong type and an option of the command line alone are refused."""
    assert (await export(**body)).status_code == 422


async def test_parquet_is_a_download(export):
    """Parquet is one binary file with its own media type."""

    answer = await export(format="parquet")

    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    assert answer.headers["content-disposition"].endswith('filename="conversations.parquet"')
    assert answer.content[:4] == answer.content[-4:] == b"PAR1"


async def test_fields_are_added_by_name(export):
    """`withFields` adds fields to each line; an unknown name is refused with those that there are."""
    added = await export(jobId="job", withFields=["id", "parameters", "generation"])
    unknown = await export(jobId="job", withFields=["cost"])

    lines = [json.loads(line) for line in added.text.splitlines()]
    assert {tuple(line) for line in lines} == {("messages", "id", "parameters", "generation")}
    assert {line["generation"]["processor"] for line in lines} == {"scripted"}
    assert unknown.status_code == 422
    assert "usage" in unknown.text
