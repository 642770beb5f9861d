"""The csv module's limit, shared by readers."""

import csv

from backstay.readers.field_limit import RaisedFieldLimit


def test_last_reader_puts_the_limit_back():
    """One of two readers letting go does not take the limit from the other."""
    before = csv.field_size_limit()
    raised = RaisedFieldLimit(before + 1)

    raised.hold()
    raised.hold()
    raised.release()
    while_one_holds = csv.field_size_limit()
    raised.release()

    assert while_one_holds == before + 1
    assert csv.field_size_limit() == before
