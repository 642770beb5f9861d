"""The answers of `support/data/model_answers.py` over HTTP, as the items of one job."""

import json
from pathlib import Path
from typing import Any

import apsw
import pytest

from backstay import Backstay, ItemCounts, Recipe
from support.data.model_answers import INSTRUCTIONS, ROWS, AnswerRow
from support.fakes.provider import KEY, Call, Reply, Sent, Status
from support.faults.batch_invariants import violations

pytestmark = pytest.mark.promise("B3")


async def test_each_answer_ends_its_item_in_the_right_state(provider, path, monkeypatch):
    """In one job per provider, items with good answers are stored correctly, and the others fail with their code."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setattr("backstay.generate.model_call._ALONE_SECONDS", 0.0)  # no other items are left to wait for
    monkeypatch.setattr("backstay.batch.breaker._WINDOW_CALLS", 1_000)  # so many failures in a row would pause the job
    rows = {row.name: row for row in ROWS}
    ids = {f"{number:03}": name for number, name in enumerate(rows)}

    def answer(call: Call) -> Reply:
        row = rows[ids[call.topic]]
        data = row.body if isinstance(row.body, bytes) else json.dumps(row.body).encode()
        return Sent(data) if row.status == 200 else Status(row.status, row.body)

    provider.behaviour = answer
    failed = {number for number, name in ids.items() if rows[name].code is not None}
    async with Backstay.open(path) as backstay:
        for speaks, prefix in (("openai", ""), ("anthropic", "anthropic:")):
            items = [{"id": n, "topic": n} for n, name in ids.items() if rows[name].speaks == speaks]
            recipe = Recipe(model=f"{prefix}writer", base_url=provider.base_url, turns=2, system=INSTRUCTIONS)
            result = await backstay.batches.run(speaks, items, recipe, concurrency=8, max_attempts=2)
            bad = sum(item["id"] in failed for item in items)
            assert result.counts == ItemCounts(completed=len(items) - bad, failed=bad)

    assert violations(path, planned=len(rows), may_fail=frozenset(failed)) == []
    stored, codes = _stored(path)
    for number, name in ids.items():
        row = rows[name]
        writer = f"{'anthropic:' if row.speaks == 'anthropic' else ''}writer"
        expected = None if row.code else (row.texts, {"writer": writer, **row.metadata}, row.turn_reasoning)
        if number in stored:
            generation = stored[number][1].pop("generation")
            assert (generation["model"], generation["attempt"]) == (writer, provider.calls_about(number)), name
        assert stored.get(number) == expected, name
        assert codes.get(number) == row.code, name
        assert provider.calls_about(number) == _calls(row), name


def _calls(row: AnswerRow) -> int:
    """Return the calls that an answer costs: two if a retry may help, three for a server error."""
    if row.code in ("server_error", "overloaded"):
        return 3
    return 2 if row.code and row.may_retry else 1


def _stored(path: Path) -> tuple[dict[str, tuple[tuple[str, ...], Any, Any]], dict[str, str]]:
    """Read the texts, metadata and last reasoning of each conversation, and the codes of failed items, with SQL."""
    connection = apsw.Connection(str(path))
    try:
        turns = connection.execute(
            "SELECT c.item_id, c.metadata, t.content, t.metadata FROM conversations AS c "
            "JOIN turns AS t ON t.conversation_key = c.key ORDER BY c.key, t.sequence"
        ).fetchall()
        codes = connection.execute(
            "SELECT i.id, a.error_code FROM items AS i JOIN attempts AS a "
            "ON a.job_key = i.job_key AND a.position = i.position WHERE a.result = 'failed'"
        ).fetchall()
    finally:
        connection.close()
    stored: dict[str, tuple[tuple[str, ...], Any, Any]] = {}
    for item, metadata, text, turn_metadata in turns:
        texts, *_ = stored.get(item, ((),))
        stored[item] = (*texts, text), json.loads(metadata), json.loads(turn_metadata or "{}").get("reasoning")
    return stored, dict(codes)
