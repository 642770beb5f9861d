"""The stored traceback of a processor's exception: files, lines and functions only."""

from functools import partial
from traceback import walk_tb

import pytest

from backstay.batch import traceback_text
from backstay.batch.processor import Work
from backstay.batch.traceback_text import format_traceback


def _raised(function, *arguments):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whichever it is, its frames are looked at
        function(*arguments)
    return caught.value


def _module(name, text):
    namespace = {}
    exec(compile(text, name, "exec"), namespace)
    return namespace


_TEXT = """
def outer(secret):
    return inner(secret)


def inner(secret):
    raise ValueError(secret)
"""


def test_frames_name_file_line_and_function(tmp_path, monkeypatch):
    """Each frame is one line, relative to the working directory, without values or code."""
    monkeypatch.chdir(tmp_path)
    error = _raised(_module(str(tmp_path / "made.py"), _TEXT)["outer"], "hunter2")

    formatted = format_traceback(error)

    assert formatted.splitlines()[-2:] == ["made.py:3 in outer", "made.py:7 in inner"]
    assert "hunter2" not in formatted
    assert "ValueError" not in formatted


def test_frames_elsewhere_are_named_in_full(tmp_path, monkeypatch):
    """A file outside the working directory keeps its absolute path."""
    monkeypatch.chdir(tmp_path)
    error = _raised(_module("/somewhere/else.py", _TEXT)["inner"], "x")

    assert format_traceback(error).splitlines()[-1] == "/somewhere/else.py:7 in inner"


def test_innermost_frames_win():
    """A deep recursion keeps the innermost frames, up to 4,000 characters, and states how many were omitted."""
    error = _raised(_module("deep.py", "def down(n):\n    return 1 // n if n < 1 else down(n - 1)\n")["down"], 400)

    lines = format_traceback(error).splitlines()

    assert len("\n".join(lines[1:])) <= 4_000
    assert lines[-1] == "deep.py:2 in down"
    assert lines[0] == f"({402 - len(lines[1:])} outer frames left out)"


def test_unstorable_file_name_is_cleaned():
    """A file name with control characters or half a surrogate pair becomes one line of plain text."""
    error = _raised(_module("od\ud800d\n.py", _TEXT)["inner"], "x")

    assert format_traceback(error).splitlines()[-1] == "od?d?.py:7 in inner"


def test_exception_that_was_never_raised_has_no_frames():
    """An exception that was never raised gives None."""
    assert format_traceback(ValueError("x")) is None


def test_frames_of_the_engine_below_the_processor_are_kept(tmp_path, monkeypatch):
    """The frames of the engine are left out above the processor only, not where the processor called it."""
    monkeypatch.chdir(tmp_path)
    call = _module(str(tmp_path / "made.py"), "def call(function):\n    function()\n")["call"]

    lines = format_traceback(_raised(call, partial(Work(1).usage, tokens_in=-1))).splitlines()

    assert "made.py:2 in call" in lines[:-1]
    assert [line.rpartition(" ")[2] for line in lines[-2:]] == ["Work.usage", "_token_count"]


def test_a_frame_without_a_line_has_that_of_its_function(tmp_path, monkeypatch):
    """A frame of which the interpreter knows no line is shown with the first line of its function."""
    monkeypatch.chdir(tmp_path)
    error = _raised(_module(str(tmp_path / "made.py"), _TEXT)["inner"], "x")
    monkeypatch.setattr(traceback_text, "walk_tb", lambda traceback: ((frame, None) for frame, _ in walk_tb(traceback)))

    assert format_traceback(error).splitlines()[-1] == "made.py:6 in inner"
