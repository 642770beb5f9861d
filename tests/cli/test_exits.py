"""Every error and every result has its exit status, and every help text lists them."""

from dataclasses import replace

import pytest
import typer

from backstay import errors
from backstay.batch.job import JobState
from backstay.batch.progress import ItemCounts, TokenCounts
from backstay.batch.runner import BatchResult
from backstay.batch.worker import EndReason
from backstay.cli.app import app
from backstay.cli.exit_status import EPILOG, MEANINGS, ExitStatus, status_of_error, status_of_result

_USAGE = {
    "SettingsError",
    "Refused",
    "JobNameNeeded",
    "ConfirmationNeeded",
    "ProcessorNotPortable",
    "CannotAdopt",
    "CannotRegenerate",
    "AdoptedTableNotWritable",
    "EmptySelection",
    "LossyExport",
    "ConversationUnwritable",
    "NothingToRun",
    "InputNotFound",
    "UnknownColumn",
    "ApiKeyMissing",
    "ApiKeyNotAllowed",
    "RecipeError",
    "UnknownVariable",
    "ProcessorUnusable",
    "ProcessorNotAllowed",
    "ProcessorNotFound",
}
_OTHERS = {"StoreFull": ExitStatus.PAUSED, "BackupDiskFull": ExitStatus.PAUSED, "Stopped": ExitStatus.INTERRUPTED}


def _tree(kind: type[errors.BackstayError]) -> list[type[errors.BackstayError]]:
    below = [inner for child in kind.__subclasses__() for inner in _tree(child)]
    return [kind, *[inner for inner in below if inner.__module__ == errors.__name__]]


@pytest.mark.parametrize("kind", _tree(errors.BackstayError), ids=lambda kind: kind.__name__)
def test_every_error_has_its_status(kind):
    """Each class of error leads to its documented exit status."""
    expected = ExitStatus.USAGE if kind.__name__ in _USAGE else _OTHERS.get(kind.__name__, ExitStatus.ERROR)

    assert status_of_error(kind("told")) is expected


def test_an_unexpected_exception_is_an_error():
    """An unexpected exception leads to the exit status of an error."""
    assert status_of_error(KeyError("x")) is ExitStatus.ERROR


def _result(ending: EndReason, counts: ItemCounts) -> BatchResult:
    return BatchResult(
        "topics", JobState.RUNNING, counts, TokenCounts(), ending, None, None, did_nothing=False, seconds=1.0
    )


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (EndReason.FINISHED, ExitStatus.DONE),
        (EndReason.LIMIT, ExitStatus.LIMIT),
        (EndReason.PAUSED, ExitStatus.PAUSED),
        (EndReason.CANCELLED, ExitStatus.ERROR),
        (EndReason.STOPPED, ExitStatus.INTERRUPTED),
    ],
)
def test_every_ending_has_its_status(ending, status):
    """Each reason why a run ends leads to its documented exit status."""
    assert status_of_result(_result(ending, ItemCounts(completed=3))) is status


def test_all_endings_are_known():
    """The table of exit statuses covers every reason why a run can end."""
    assert set(EndReason) == {
        EndReason.FINISHED,
        EndReason.LIMIT,
        EndReason.PAUSED,
        EndReason.CANCELLED,
        EndReason.STOPPED,
    }


def test_finished_with_failures_has_its_own_status():
    """A job that finished with failures exits with 3, whether it finished in this run or before."""
    result = _result(EndReason.FINISHED, ItemCounts(completed=2, failed=1))

    assert status_of_result(result) is ExitStatus.WITH_FAILURES
    assert status_of_result(replace(result, did_nothing=True)) is ExitStatus.WITH_FAILURES


def test_every_help_text_shows_the_statuses(within):
    """The help of every command explains the exit statuses."""
    group = typer.main.get_command(app)
    names = [[name] for name in group.commands] + [["conversations", name] for name in ("list", "show", "export")]
    assert all(f"{int(status)} {meaning}" in EPILOG for status, meaning in MEANINGS.items())

    for words in [[], *names]:
        ended = within(*words, "--help")

        assert ended.code == 0
        assert EPILOG.split() == ended.out.split()[-len(EPILOG.split()) :]


def test_every_command_but_groups_takes_json(within):
    """Every command accepts --json."""
    group = typer.main.get_command(app)
    commands = [*group.commands.values(), *group.commands["conversations"].commands.values()]

    for command in commands:
        if not hasattr(command, "commands"):
            assert any("--json" in option.opts for option in command.params), command.name
