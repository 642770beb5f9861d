"""`scripts/mutate.py` changes one condition at a time."""

import runpy
from pathlib import Path

import pytest

_SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "mutate.py"))
_SQL = """-- WHERE in a comment AND not a condition
UPDATE items
   SET state = 'a AND b'
 WHERE key = :key
   AND (x = 1 AND y = 2 OR z)
   AND position IN (SELECT position FROM items WHERE owner = :owner AND n > 0 ORDER BY n LIMIT 1)
RETURNING key
"""
_PYTHON = """def settle(é, b):
    if é and b > 0:
        raise ValueError("é")
    return b or é
"""


def _mutated(text, mutant):
    return text[: mutant.start] + mutant.new + text[mutant.end :]


def test_each_condition_of_each_where_becomes_true():
    """Conditions of a nested WHERE are taken out alone too, and no parenthesis is split."""
    mutants = list(_SCRIPT["sql_mutants"]("queries/settle.sql", _SQL))

    nested = "position IN (SELECT position FROM items WHERE owner = :owner AND n > 0 ORDER BY n LIMIT 1)"
    old = ["key = :key", "(x = 1 AND y = 2 OR z)", "owner = :owner", "n > 0", nested]
    assert [mutant.text.removesuffix(" → TRUE") for mutant in mutants] == old
    assert [_mutated(_SQL, mutant) for mutant in mutants] == [_SQL.replace(condition, "TRUE") for condition in old]
    assert [mutant.line for mutant in mutants] == [4, 5, 6, 6, 6]
    assert {mutant.scope for mutant in mutants} == {"settle"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("é and b > 0", "(not (é and b > 0))"),
        ("é and", "True and"),
        ("and b > 0", "and True"),
        ('raise ValueError("é")', "pass"),
        ("return b", "return False"),
        ("or é", "or False"),
    ],
)
def test_conditions_and_raises_of_python_are_changed(old, new):
    """A condition is negated or loses a part, and a raise does nothing."""
    mutants = list(_SCRIPT["python_mutants"]("settle.py", _PYTHON))

    assert len(mutants) == 6
    assert _PYTHON.replace(old, new) in [_mutated(_PYTHON, mutant) for mutant in mutants]
    assert {mutant.scope for mutant in mutants} == {"settle.py:settle"}


def test_the_tests_that_detect_mutants_exist():
    """Each path of the tests that the script runs, or ignores, exists."""
    paths = [option.removeprefix("--ignore=") for option in _SCRIPT["TESTS"]]

    assert len(paths) > 5
    assert [path for path in paths if not (_SCRIPT["ROOT"] / path).exists()] == []
