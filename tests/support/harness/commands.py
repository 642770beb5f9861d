"""Run `backstay` as a command in this process, and hold its result."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from backstay.cli.main import main


@dataclass(frozen=True, slots=True)
class Ended:
    """Result of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The error printed as JSON on standard error."""
        return json.loads(self.err)["error"]

    def one_line_error(self) -> str:
        """The message of the error, after checking that standard error ends with this one line and nothing else."""
        lines = self.err.splitlines()
        errors = [line for line in lines if line.startswith("Error: ")]
        assert len(errors) == 1, self.err
        assert lines[-1] == errors[0]
        assert "Traceback" not in self.err + self.out
        return errors[0].removeprefix("Error: ")


def in_process(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Return a function that runs `backstay` in this process, for tests that do not need another one."""

    def command(*words: str) -> Ended:
        capfd.readouterr()
        code = main(words)
        captured = capfd.readouterr()
        return Ended(code, captured.out, captured.err)

    return command
