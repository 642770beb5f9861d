"""The command `backstay`: the one place where errors become exit statuses."""

import sys
from collections.abc import Sequence

from backstay.cli.exits import READER_GONE, ExitStatus


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the status to exit with. Nothing is raised."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(given)
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED


def _run(given: list[str]) -> int:
    # Here and not above: Ctrl-C while these are loaded is as quiet as later.
    import typer

    from backstay.cli import error_output, output
    from backstay.cli.app import app
    from backstay.cli.invocation import Invocation
    from backstay.errors import BackstayError

    invocation = Invocation()
    as_json = "--json" in given
    status: int = ExitStatus.DONE
    try:
        command = typer.main.get_command(app)
        # Typer returns what the command returned, or the code it asked to exit with.
        status = (
            command.main(args=given, prog_name="backstay", standalone_mode=False, obj=invocation) or ExitStatus.DONE
        )
    except output.OutputClosed:
        return READER_GONE
    except BackstayError as error:
        return error_output.print_refusal(invocation, error, as_json=as_json)
    except typer.Abort:
        output.to_stderr("Nothing was done.")
        return ExitStatus.ERROR
    except Exception as error:
        if hasattr(error, "format_message"):  # Typer's word for a command line it does not understand
            return error_output.print_misuse(invocation, error, as_json=as_json)
        return error_output.print_fault(invocation, error, as_json=as_json)
    try:
        output.flush()
    except output.OutputClosed:
        return status  # what the command does was done, whether or not anybody hears of it
    except BackstayError as error:
        return error_output.print_refusal(invocation, error, as_json=as_json)
    return status
