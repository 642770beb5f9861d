"""The command `backstay`: the one place where errors become exit statuses."""

import sys
from collections.abc import Sequence

from backstay.cli.exit_status import READER_GONE, ExitStatus


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status. Raises nothing."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(words)
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED


def _run(words: list[str]) -> int:
    # Imported here so that Ctrl-C during the import is handled, too.
    import typer

    from backstay.cli import error_output, output
    from backstay.cli.app import app
    from backstay.cli.invocation import Invocation
    from backstay.errors import BackstayError

    invocation = Invocation()
    as_json = "--json" in words
    status: int = ExitStatus.DONE
    try:
        command = typer.main.get_command(app)
        # Typer returns the command's return value, or the code of its `Exit`.
        status = (
            command.main(args=words, prog_name="backstay", standalone_mode=False, obj=invocation) or ExitStatus.DONE
        )
    except output.OutputClosed:
        return READER_GONE
    except BackstayError as error:
        return error_output.print_error(invocation, error, as_json=as_json)
    except typer.Abort:
        output.to_stderr("Nothing was done.")
        return ExitStatus.ERROR
    except Exception as error:
        if hasattr(error, "format_message"):  # a usage error of Typer
            return error_output.print_usage_error(invocation, error, as_json=as_json)
        return error_output.print_unexpected(invocation, error, as_json=as_json)
    try:
        output.flush()
    except output.OutputClosed:
        return status  # the command has done its work, whether or not its output is read
    except BackstayError as error:
        return error_output.print_error(invocation, error, as_json=as_json)
    return status
