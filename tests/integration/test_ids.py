"""Generated ids next to ids of the input."""

import pytest

from backstay import Backstay, Selection
from support.data.conversations import conversation


@pytest.mark.parametrize("given_first", [True, False])
async def test_an_id_like_a_generated_one_is_no_conflict(tmp_path, given_first):
    """An id of the input that equals a generated one makes the generated one differ, so that all items have ids."""

    async def answer(item):
        return conversation(item.topic)

    async with Backstay.open(tmp_path / "backstay.db") as backstay:
        await backstay.batches.run("first", [{"topic": "tea"}], answer)
        (made,) = [stored.item_id for stored in await backstay.conversations.list(Selection(job_id="first"))]
        explicit, repeated = {"id": f"{made}-2", "topic": "coffee"}, [{"topic": "tea"}, {"topic": "tea"}]
        items = [explicit, *repeated] if given_first else [repeated[0], explicit, repeated[1]]

        result = await backstay.batches.run("second", items, answer)

    assert result.completed == 3
