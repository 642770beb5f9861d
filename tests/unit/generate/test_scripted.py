"""The scripted writer without a model."""

import time

import pytest

from backstay.batch.item import Item
from backstay.errors import ProcessorNotFound
from backstay.generate.processor_loader import ProcessorLoader
from backstay.generate.scripted import compose, scripted_processor
from backstay.library.conversation import validate

_ITEM = Item("tea", id="a", persona="a monk", parameters={"depth": 3, "tags": ["x"]})


def test_conversation_is_made_of_the_item_alone():
    """The same item always yields the same conversation, which contains all of its values."""
    made = compose(_ITEM)
    text = " ".join(turn.content for turn in made.turns)

    assert made == compose(_ITEM)
    assert all(value in text for value in ("tea", "a monk", "depth: 3", "tags: ['x']"))
    validate(made)


def test_roles_alternate():
    """The roles of a scripted conversation alternate, beginning with the user."""
    assert [turn.role for turn in compose(_ITEM).turns] == ["user", "assistant", "user", "assistant"]


def test_it_says_who_wrote_it():
    """A scripted conversation is marked as such in its metadata."""
    assert compose(_ITEM).metadata == {"writer": "scripted"}


def test_topic_alone_is_enough():
    """An item with a topic alone yields a conversation, and another topic another one."""
    assert compose(Item("tea")) != compose(Item("coffee"))


def test_long_parameter_is_cut():
    """A long parameter is truncated in the conversation."""
    made = compose(Item("tea", parameters={"text": "x" * 10_000}))

    assert all(len(turn.content) < 300 for turn in made.turns)


async def test_named_writer_writes():
    """The name `scripted` resolves to the scripted writer."""
    assert await ProcessorLoader().resolve("scripted")(_ITEM) == compose(_ITEM)


@pytest.mark.parametrize("name", ["scripted:0.02", "scripted:.02"])
async def test_writer_may_take_its_time(name):
    """A writer with a number of seconds takes that long for each conversation."""
    started = time.monotonic()

    await scripted_processor(name)(_ITEM)

    assert time.monotonic() - started >= 0.019


@pytest.mark.parametrize("name", ["scripted:0", "scripted:3600", "scripted:1.5"])
def test_seconds_that_are_some(name):
    """Any number of seconds from zero to an hour is accepted."""
    assert callable(scripted_processor(name))


@pytest.mark.parametrize(
    "name", ["scripted:", "scripted:x", "scripted:-1", "scripted:1e9", "scripted:3601", "scripted:nan"]
)
def test_other_seconds_are_refused(name):
    """Other values after the colon are rejected before a conversation is written."""
    with pytest.raises(ProcessorNotFound, match=r"as in scripted:0.2"):
        scripted_processor(name)
