"""Ids as text: which are allowed, and how they are printed and parsed."""

import re
import unicodedata

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from backstay.library.id_text import id_fault, parse_printed_id, printed_id, quoted_id, shell_id

_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")) | st.text("\\ -xu20ea\u200e\u0301")


@given(_TEXTS)
@example("\\x20")
@example("-\\")
@example("\\\u200e\\\\")
def test_what_is_printed_is_read_as_the_same_id(value):
    """A printed id is read as the same id, and shows each of its characters on one line."""
    printed = printed_id(value)

    assert parse_printed_id(printed) == value
    assert printed.isprintable()
    assert printed == printed.strip()
    assert "  " not in printed
    assert not printed.startswith("-")
    assert unicodedata.is_normalized("NFC", printed)


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ("a/b", "a/b"),
        ("item #3", "item #3"),
        ("用户-1", "用户-1"),
        ("🙂", "🙂"),
        ("good\u200e", "good\\u200e"),
        ("👩\u200d🚀", "👩\\u200d🚀"),
        ("❤\ufe0f", "❤\\ufe0f"),
        ("a\u00a0b", "a\\xa0b"),
        ("a  b", "a \\x20b"),
        (" a ", "\\x20a\\x20"),
        ("e\u0301", "e\\u0301"),
        ("\u3164", "\\u3164"),
        ("\U000e0067", "\\U000e0067"),
        ("-v", "\\x2dv"),
        ("a\\b", "a\\\\b"),
        ("a\nb", "a\\x0ab"),
    ],
)
def test_printed(value, printed):
    """Usual ids are printed unchanged; characters that are invisible or ambiguous are escaped."""
    assert printed_id(value) == printed
    assert quoted_id(value) == f"'{printed}'"


def test_a_backslash_that_begins_no_escape_stands_for_itself():
    """A backslash that begins no escape is kept, and no escape produces NUL or half of a surrogate pair."""
    for text in (r"C:\new\users", r"a\x0", r"\U99999999", r"a\x00b", r"\ud800", r"\U0000dfff"):
        assert parse_printed_id(text) == text


def test_typed():
    """An id in a command that a message shows is quoted for the shell."""
    assert shell_id("it's here") == """'it'"'"'s here'"""


@pytest.mark.parametrize(
    "value", ["a/b", "user@example.com", "item #3", "a\u200e", "👩\u200d🚀", "e\u0301", "a\\b", "x" * 512]
)
def test_allowed_ids(value):
    """Common ids of other programs are allowed unchanged."""
    assert id_fault(value) is None


@pytest.mark.parametrize(
    "value", ["", " ", " a", "a\u3000", "a\nb", "a\u2028b", "a\x85", ".", "..", "x" * 513, "\ud800"]
)
def test_refused_ids(value):
    """An id that a URL or a line of output could not contain is refused with a reason and a remedy."""
    assert re.search("; (remove|shorten|choose|write) ", id_fault(value))


@pytest.mark.parametrize("value", ["a\\x41", "\\u200e", "a\\\\b", "\\U0001f600"])
def test_an_id_that_reads_as_another_is_refused(value):
    """An id that would be parsed as another id is refused, because scripts pass unprinted ids to commands."""
    assert parse_printed_id(value) != value
    assert "reads as an escape" in id_fault(value)


@given(_TEXTS)
def test_an_id_that_is_taken_is_read_as_itself(value):
    """An allowed id is parsed as itself, both unchanged and as printed."""
    assume(id_fault(value) is None)

    assert parse_printed_id(value) == parse_printed_id(printed_id(value)) == value
