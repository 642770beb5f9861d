"""The split of an export: stable sides, fractions and names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.errors import SettingsError
from backstay.library.exports.split import Split
from support.data.conversations import conversation

_HALVES = "train=0.5,test=0.5"
_KNOWN_SIDES = ["train", "train", "train", "test", "test", "test", "test", "test"]
_ids = st.text(min_size=1, max_size=40)


@given(st.lists(_ids, unique=True, max_size=30), st.integers(), st.randoms())
def test_a_conversation_is_always_on_the_same_side(ids, seed, random):
    """The side of a conversation depends on no other conversation, on no order and on none of its other fields."""
    split = Split.from_text("train=0.7,validation=0.2,test=0.1", seed)
    before = {name: split.side_of(conversation(id=name)) for name in ids}

    random.shuffle(ids)
    again = Split.from_fractions({"train": 0.7, "validation": 0.2, "test": 0.1}, seed)
    after = {name: again.side_of(conversation("other", id=name, topic="t")) for name in [*ids, "later"]}

    assert {name: after[name] for name in before} == before


def test_sides_are_those_of_earlier_versions():
    """The hash of seed and id does not change, so that an export years later has the same sides."""
    split = Split.from_text(_HALVES, 7)

    assert [split.side_of(conversation(id=f"c{number}")) for number in range(8)] == _KNOWN_SIDES


def test_fractions_are_met():
    """Of many conversations, each side gets about its fraction, and another seed gives others."""
    split, other = (Split.from_text("train=0.95,test=0.05", seed) for seed in (7, 8))
    conversations = [conversation(id=f"c{number}") for number in range(20_000)]

    tests = [{each.id for each in conversations if way.side_of(each) == "test"} for way in (split, other)]

    assert all(900 < len(ids) < 1_100 for ids in tests)
    assert len(tests[0] & tests[1]) < 120


@given(st.text(min_size=1), st.text(), st.text(), st.integers())
def test_preference_pairs_stay_together(pair, chosen, rejected, seed):
    """Both conversations of a pair are on the same side, whatever their ids are."""
    split = Split.from_text(_HALVES, seed)
    sides = [
        split.side_of(conversation(id=name, metadata={"preference": side, "preference_pair": pair}))
        for name, side in ((chosen, "chosen"), (rejected, "rejected"))
    ]

    assert sides[0] == sides[1]


@pytest.mark.parametrize(
    "text", ["a=1", "a=1/3,b=2/3", "a=0.1,b=0.2,c=0.7", "a=.5,b=.5", " train = 0.9 , test = 0.1 ", "a=1e-05,b=0.99999"]
)
def test_fractions_that_sum_to_one_are_accepted(text):
    """Decimal numbers and quotients are compared exactly."""
    assert Split.from_text(text).bounds[-1][1] == 2**64


def test_thirds_as_numbers_of_a_program_are_accepted():
    """Fractions that sum to 1 up to the rounding of floating-point numbers are accepted."""
    assert Split.from_fractions({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}).names == ("a", "b", "c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train=0.9,test=0.2", "sum to 1.1; they must sum to 1"),
        ("train=0.9", "sum to 0.9; they must sum to 1"),
        ("train", "'train' in the split is not NAME=FRACTION"),
        ("", "'' in the split is not NAME=FRACTION"),
        ("train=1,", "'' in the split is not NAME=FRACTION"),
        ("train=0.5,train=0.5", "has 'train' twice"),
        ("train=0.5,Train=0.5", "differ only in case"),
        ("train=1,test=0", "The fraction of 'test' in the split is not a number above 0"),
        ("train=1.5,test=-0.5", "The fraction of 'train' in the split is not a number"),
        ("train=nan,test=1", "The fraction of 'train' in the split is not a number"),
        ("train=1e999999999,test=1", "The fraction of 'train' in the split is not a number"),
        ("train=1/0", "The fraction of 'train' in the split is not a number"),
        ("train=95%,test=5%", "The fraction of 'train' in the split is not a number"),
        ("../x=1", "'../x' in the split cannot be a file name"),
        ("a-b=1", "'a-b' in the split cannot be a file name"),
        ("=1", "'' in the split cannot be a file name"),
        (f"{'a' * 65}=1", "cannot be a file name"),
        ("träin=1", "cannot be a file name"),
    ],
)
def test_an_unclear_split_is_refused(text, message):
    """A split whose fractions or names are wrong is refused with the reason."""
    with pytest.raises(SettingsError) as caught:
        Split.from_text(text)
    assert message in caught.value.message
