"""The tree of errors in the docstring matches the classes."""

import re
from itertools import pairwise

import pytest

from backstay import errors
from backstay.errors import BackstayError


def _below(error):
    for child in error.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from _below(child)


_ALL = [BackstayError, *_below(BackstayError)]


def _drawn():
    """Return the pairs of child and parent in the module's docstring."""
    block = re.search(r"\n    BackstayError\n(.*?)\n\n", errors.__doc__, re.DOTALL)[1]
    parent = None
    for line in block.splitlines():
        indent = len(line) - len(line.lstrip())
        names = re.findall(r"\w+", line)
        if indent == 6:
            parent = names.pop(0)
            yield parent, "BackstayError"
        for name in names:
            yield name, parent


def test_tree_is_drawn_as_it_is():
    """The tree in the module's docstring lists every class below its parent."""
    there = {(error.__name__, error.__bases__[0].__name__) for error in _ALL[1:]}

    assert set(_drawn()) == there
    assert len(list(_drawn())) == len(there)


def test_codes_are_unique():
    """No two errors have the same code."""
    codes = [error.code for error in _ALL]

    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("error", _ALL, ids=lambda error: error.__name__)
def test_code_is_the_name(error):
    """The code of an error is its class name in lower case with underscores."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", error.__name__).lower()

    assert error.code == ("error" if error is BackstayError else words.replace("sq_lite", "sqlite"))
    assert "code" in vars(error)


def test_groups_are_drawn_in_the_order_of_the_file():
    """The tree lists the groups in the order of the file."""
    order = list(vars(errors))

    assert all(order.index(item) < order.index(other) for (item, _), (other, _) in pairwise(_drawn()))


def test_error_carries_a_message_and_its_context():
    """An error has a message for people and a context for programs."""
    error = errors.InvalidRow("topics.csv line 3: no topic", path="topics.csv", line=3)

    assert str(error) == error.message == "topics.csv line 3: no topic"
    assert error.context == {"path": "topics.csv", "line": 3}
    assert isinstance(error, errors.InputError)
