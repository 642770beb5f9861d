"""B8: no key in anything that is written, however hard a provider tries; no prompt or answer in logs and errors."""

import json
import logging
from pathlib import Path

import pytest

from backstay import Backstay
from backstay.generate import credentials
from support.provider import KEY, Said, Status

pytestmark = pytest.mark.promise("B8")


def _files_with(folder: Path, secret: str) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def _echo(call):
    """Send the key back: in an error, in its message, or as if it were a conversation."""
    key = call.headers.get("Authorization") or call.headers.get("x-api-key") or call.headers.get("X-Api-Key")
    if call.topic == "said":
        return Said(json.dumps({"user_1": f"My key is {key}", "assistant_1": "I see."}))
    status = {"in 400": 400, "in 500": 500}[call.topic]
    return Status(status, {"error": {"message": f"bad key {key} for: {call.prompt}", "code": key, "type": key}})


async def _run(backstay: Backstay, recipe) -> None:
    items = [{"id": name, "topic": name} for name in ("in 400", "in 500", "said")]
    await backstay.batches.run("job", items, recipe, max_attempts=2)


async def test_a_key_that_is_sent_back_is_nowhere(provider, recipe, path, caplog):
    """Not in the database, its log, what is printed, or what is logged."""
    caplog.set_level(logging.DEBUG)
    provider.behaviour = _echo

    async with Backstay.open(path) as backstay:
        await _run(backstay, recipe)
        failures = [failure async for failure in backstay.batches.failed("job")]
        assert _files_with(path.parent, KEY) == []

    assert {failure.item_id for failure in failures} == {"in 400", "in 500"}
    assert all("[key]" in (failure.raw or "") for failure in failures)
    assert _files_with(path.parent, KEY) == []
    assert KEY not in caplog.text
    assert "turns" not in " ".join(failure.error_message for failure in failures)  # nothing of the prompt


async def test_control_without_hiding_the_key_is_found(provider, recipe, path, monkeypatch):
    """The same search finds it when what comes back is kept as it is."""
    monkeypatch.setattr(credentials, "hidden_bytes", lambda body, _: body)
    provider.behaviour = _echo

    async with Backstay.open(path) as backstay:
        await _run(backstay, recipe)

    assert _files_with(path.parent, KEY) != []


@pytest.mark.parametrize("name", ["said"])
async def test_a_conversation_with_the_key_has_it_taken_out(name, provider, recipe, path):
    """Even an answer that is a conversation."""
    provider.behaviour = _echo

    async with Backstay.open(path) as backstay:
        await backstay.batches.run("job", [{"id": name, "topic": name}], recipe)

    assert _files_with(path.parent, KEY) == []
