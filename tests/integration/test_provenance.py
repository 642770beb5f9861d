"""What the metadata of generated conversations says of their origin."""

import json

from backstay import Conversation, Retry, Selection, Turn
from support.fakes.processors import Writer

ALL = Selection(everything=True)
_ITEMS = [{"id": "a", "topic": "tea", "persona": "cook", "level": 3, "notes": {"b": 1.50, "a": ["é\u2028", None]}}]


async def _only(backstay):
    (conversation,) = [stored async for stored in backstay.conversations.export(ALL)]
    return conversation


async def test_a_processor_with_parameters(backstay):
    """The parameters are the item's other columns as they came, whatever the processor has done to its own copy."""

    def write(item, work):
        item.parameters.clear()
        item.parameters["level"] = {4}
        if work.attempt == 1:
            return Retry("not yet", after_seconds=0.0)
        work.usage(tokens_in=7, tokens_out=5)
        return Conversation([Turn("user", "Hi"), Turn("assistant", "Hello")])

    await backstay.batches.run("job", _ITEMS, write)

    assert (await _only(backstay)).metadata == {
        "generation": {"processor": "caller", "attempt": 2, "tokens_in": 7, "tokens_out": 5},
        "parameters": {"level": 3, "notes": {"b": 1.5, "a": ["é\u2028", None]}},
    }


async def test_keys_of_the_processor_come_first(backstay):
    """Metadata that a processor sets under the same keys is stored as it is."""
    own = {"parameters": "mine", "generation": {"model": "own"}, "score": 1}

    await backstay.batches.run("job", _ITEMS, lambda _: Conversation([Turn("user", "Hi")], metadata=own))

    assert (await _only(backstay)).metadata == own


async def test_parameters_that_metadata_cannot_hold_are_left_out(backstay):
    """Items whose parameters are nested as deeply as a row may be, or have a NUL character, are stored without them."""
    deep = json.loads("[" * 98 + "]" * 98)
    items = [{"id": "deep", "topic": "x", "a": deep}, {"id": "nul", "topic": "x", "a": "\x00"}]

    result = await backstay.batches.run("job", items, Writer())
    deleted = await backstay.conversations.delete(ALL)
    restored = await backstay.backups.restore(deleted.backup_id)

    assert (result.completed, restored.restored) == (2, 2)
    async for stored in backstay.conversations.export(ALL):
        assert stored.metadata == {"generation": {"processor": "caller", "attempt": 1}}
