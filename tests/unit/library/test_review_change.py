"""Changes to reviews: what they set, and what is refused."""

import pytest

from backstay.errors import SettingsError
from backstay.library.review import Review, ReviewStatus
from backstay.library.review_change import ReviewChange


def test_status_may_be_given_by_name():
    """The name of a status stands for it."""
    assert ReviewChange("kept").apply(Review()) == Review(ReviewStatus.KEPT)


def test_tags_are_replaced_before_others_are_added_and_removed():
    """`tags` replaces all tags, then `add_tags` and `remove_tags` apply."""
    change = ReviewChange(tags=["b", "a", "c"], add_tags=["d"], remove_tags=["c", "x"])

    assert change.apply(Review(tags=("old",))).tags == ("a", "b", "d")


def test_empty_note_removes_it():
    """An empty note and None remove the note."""
    assert ReviewChange(note="").apply(Review(note="x")).note is None
    assert ReviewChange(note=None).apply(Review(note="x")).note is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "Nothing to change: give a status, a rating, tags or a note"),
        ({"status": "good"}, "The status must be one of unreviewed, kept, rejected"),
        ({"rating": 0}, "The rating must be a whole number from 1 to 5"),
        ({"rating": 6}, "The rating must be a whole number from 1 to 5"),
        ({"rating": True}, "The rating must be a whole number from 1 to 5"),
        ({"rating": 2.0}, "The rating must be a whole number from 1 to 5"),
        ({"add_tags": "good"}, "add_tags must be a list of texts"),
        ({"tags": [1]}, "A tag must be text, not an int"),
        ({"tags": [""]}, "The tag '' is empty"),
        ({"tags": [" a"]}, "The tag ' a' begins or ends with a space; remove it"),
        ({"add_tags": ["a\nb"]}, r"The tag 'a\\nb' has a line break or a control character; remove it"),
        ({"add_tags": ["a\u2028b"]}, "has a line break or a control character"),
        ({"add_tags": ["a\x00"]}, "has a line break or a control character"),
        ({"add_tags": ["\ud800"]}, r"The tag '\\ud800' is not valid Unicode"),
        ({"remove_tags": ["x" * 101]}, "has 101 characters, and 100 is the maximum; shorten it"),
        ({"tags": [str(n) for n in range(51)]}, "A conversation may have at most 50 tags, not 51"),
        ({"add_tags": ["a"], "remove_tags": ["a"]}, "The tag 'a' is both added and removed"),
        ({"note": 3}, "The note must be text, not an int"),
        ({"note": "x" * 10_001}, "The note has 10,001 characters, and 10,000 is the maximum; shorten it"),
        ({"note": "\x00"}, "The note contains a NUL character; remove it"),
        ({"note": "\udfff"}, "The note is not valid Unicode"),
    ],
)
def test_wrong_values_are_refused_by_name(values, message):
    """A value that is not allowed is refused in one line, which names it."""
    with pytest.raises(SettingsError, match=message) as caught:
        ReviewChange(**values)
    assert "\n" not in caught.value.message


def test_the_longest_values_are_allowed():
    """A tag of 100 characters, 50 tags and a note of 10,000 characters with line breaks are allowed."""
    tags = ["\U0001f600" * 98 + f"{n:02}" for n in range(50)]

    review = ReviewChange(note="\u202e\n" * 5_000, tags=tags).apply(Review())

    assert (len(review.note), len(review.tags)) == (10_000, 50)
    assert review.check() is review
