"""A conversation as a text to edit."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.cli.edit_form import parse_form, to_form, with_error
from backstay.errors import InputUnreadable
from backstay.library.conversation import Conversation
from backstay.library.edit_plan import is_same
from backstay.library.turn import Turn
from support.data.conversations import with_tools

_TWO = Conversation([Turn("user", "Hi"), Turn("assistant", "Hello\nthere")], topic="T")
_texts = st.text(
    st.sampled_from('=# \n\r\t\x1b"\\1é') | st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
    max_size=20,
)
_roles = st.sampled_from(["user", "topic", "persona", "end", "two words", '"', "1", "#", "é"])


@given(st.lists(st.tuples(_roles, _texts), min_size=1, max_size=4), st.none() | _texts, st.none() | _texts)
def test_form_that_is_not_edited_changes_nothing(turns, topic, persona):
    """Any texts and roles come back exactly from the form."""
    stored = Conversation([Turn(*turn) for turn in turns], topic=topic, persona=persona)

    edit = parse_form(to_form(stored), stored)

    assert is_same(replace(stored, turns=edit.turns, topic=edit.topic, persona=edit.persona), stored)


def test_form_is_readable():
    """The form shows the topic and each turn under a line with its number and role."""
    lines = [line for line in to_form(_TWO).splitlines() if not line.startswith("#")]

    assert lines == ["=== topic", "T", "=== 1 user", "Hi", "=== 2 assistant", "Hello", "there", "=== end"]


def test_turns_are_moved_added_and_removed():
    """Blocks that are moved keep what the form does not show; one without a number is a new turn."""
    stored = with_tools()
    form = to_form(stored).replace("=== 6 user", "=== user")
    first, second = form.index("=== 2 user"), form.index("=== 3 assistant")
    moved = (
        form[:first] + form[second : form.index("=== 4 tool")] + form[first:second] + form[form.index("=== 4 tool") :]
    )

    edit = parse_form(moved, stored)

    turns = stored.turns
    assert edit.turns == [turns[0], turns[2], turns[1], turns[3], turns[4], Turn("user", "No, edited.")]
    assert "=== 3 assistant  # reasoning, 2 tool calls\n" in form


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("=== 2 assistant", "=== 3 assistant", "Line 9: there is no turn 3; a new turn has no number"),
        ("=== 2 assistant", "=== 1 assistant", "Line 9: turn 1 is there twice"),
        ("=== 2 assistant", "=== 2", "Line 9: a role is expected here, such as user, or a turn's number and its role"),
        ("=== 2 assistant", "=== ", "Line 9: a role is expected here, such as user, or a turn's number and its role"),
        ("=== 2 assistant", "=== narrator", "Line 9: no format knows the role 'narrator'; use system, developer, user"),
        ("=== 2 assistant", "=== topic", "Line 9: the topic is there twice"),
        ('=== 2 assistant', '=== "a\\q"', "Line 9: the quoted role is not valid JSON"),
        ("Hello\nthere", " ", "Line 9: turn 2 is empty"),
        ("Hello", "a\x00b", "Line 9: turn 2 contains a NUL character"),
        ("=== end\n", "", "Line 12: the line === end is missing, so the file may be incomplete"),
        ("=== end\n", "=== end\n=== user\nHi\n=== end\n", "Line 13: there is more after the line === end"),
        ("=== topic", "What", "Line 5: a line that begins a turn, such as === user, is expected here"),
    ],
)  # fmt: skip
def test_mistake_is_named_with_its_line(old, new, message):
    """A mistake in the form is one line that names the line of the file, and never a text."""
    help_, start, rest = to_form(_TWO).partition("\n=== topic")

    with pytest.raises(InputUnreadable) as caught:
        parse_form(help_ + (start + rest).replace(old, new, 1), _TWO)

    assert caught.value.message.startswith(message)


@pytest.mark.parametrize("text", ["# only comments\n", "\n", "=== topic\nT\n=== end\n", "=== end\n"])
def test_form_without_turns_is_refused(text):
    """A form without a turn stores nothing."""
    with pytest.raises(InputUnreadable, match=r"^Line \d: "):
        parse_form(text, _TWO)


def test_error_is_shown_in_the_form():
    """The error is put before the form, and names the line as it is then; a second error replaces it."""
    first = with_error("a\nb\n", InputUnreadable("Line 2: wrong", line=2))
    second = with_error(first, InputUnreadable("Line 3: still wrong", line=3))

    assert first == "# Error: Line 3: wrong\na\nb\n"
    assert second == "# Error: Line 3: still wrong\na\nb\n"
