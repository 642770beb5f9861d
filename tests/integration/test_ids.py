"""Ids that are made beside ids that are given."""

import pytest

from backstay import Backstay, Selection
from support.conversations import conversation


@pytest.mark.parametrize("given_first", [True, False])
async def test_an_id_that_looks_like_a_made_one_is_no_clash(tmp_path, given_first):
    """The made one gives way: three items, three ids."""

    async def answer(item):
        return conversation(item.topic)

    async with Backstay.open(tmp_path / "backstay.db") as backstay:
        await backstay.batches.run("first", [{"topic": "tea"}], answer)
        (made,) = [one.item_id for one in await backstay.conversations.list(Selection(job_id="first"))]
        explicit, repeated = {"id": f"{made}-2", "topic": "coffee"}, [{"topic": "tea"}, {"topic": "tea"}]
        items = [explicit, *repeated] if given_first else [repeated[0], explicit, repeated[1]]

        result = await backstay.batches.run("second", items, answer)

    assert result.completed == 3
