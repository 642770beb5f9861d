"""The raised limit of the csv module, which readers share."""

import csv

from backstay.readers.delimited_text import RaisedFieldLimit


def test_last_reader_restores_the_limit():
    """The raised limit stays until the last of two readers has released it, and is then restored."""
    before = csv.field_size_limit()
    raised = RaisedFieldLimit(before + 1)

    raised.hold()
    raised.hold()
    raised.release()
    while_one_holds = csv.field_size_limit()
    raised.release()

    assert while_one_holds == before + 1
    assert csv.field_size_limit() == before


def test_a_higher_limit_of_the_process_is_not_lowered():
    """A limit that other code has set higher stays in force while a reader needs less."""
    before = csv.field_size_limit(5_000_000)
    raised = RaisedFieldLimit(1_000_000)

    try:
        raised.hold()
        while_held = csv.field_size_limit()
        raised.release()
        after = csv.field_size_limit()
    finally:
        csv.field_size_limit(before)

    assert (while_held, after) == (5_000_000, 5_000_000)
