"""`backstay` as a command: how it ended, and a way to run it in this process."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from backstay.cli.main import main


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The error told as JSON on standard error."""
        return json.loads(self.err)["error"]

    def one_line_error(self) -> str:
        """The message of the error, after checking that it is one line and nothing else was said."""
        lines = self.err.splitlines()
        errors = [line for line in lines if line.startswith("Error: ")]
        assert len(errors) == 1, self.err
        assert lines[-1] == errors[0]
        assert "Traceback" not in self.err + self.out
        return errors[0].removeprefix("Error: ")


def in_process(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Return what runs `backstay` in this process, for where one of its own would add nothing but time."""

    def command(*words: str) -> Ended:
        capfd.readouterr()
        code = main(words)
        shown = capfd.readouterr()
        return Ended(code, shown.out, shown.err)

    return command
