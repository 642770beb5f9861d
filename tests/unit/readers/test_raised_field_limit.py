"""The raised limit of the csv module, which readers share."""

import csv

from backstay.readers.delimited import RaisedFieldLimit


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
