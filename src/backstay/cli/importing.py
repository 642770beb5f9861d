"""`backstay conversations import`: import conversations from a file."""

from typing import Annotated

import typer

from backstay.cli import reminders
from backstay.cli.invocation import Invocation, run_async
from backstay.cli.options import AsJson
from backstay.cli.output import Output
from backstay.cli.text import format_count, printable
from backstay.library.choices import ImportConflictPolicy


def import_(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="File to import; - for standard input.", show_default=False)
    ],
    on_conflict: Annotated[
        ImportConflictPolicy,
        typer.Option(help="If another conversation has the id: import nothing, skip it, or give it a new id."),
    ] = ImportConflictPolicy.FAIL,
    as_json: AsJson = False,
) -> None:
    """Import conversations from a file: all of them or none.

    Reads OpenAI messages, ShareGPT and native conversations, as JSONL or as a JSON array, and backups, including
    reformatted ones and the original's. Keeps ids; unknown keys become metadata. Skips conversations that are already
    stored with the same content, so that importing a file with ids twice does no harm.

    \b
    Examples:
      backstay conversations import chats.jsonl
      backstay conversations import backup-1730720400123-abc123.json.zst --on-conflict skip
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def execute() -> None:
        async with invocation.open(create=True) as backstay:
            result = await backstay.conversations.import_file(file, on_conflict=on_conflict)
            if as_json:
                from backstay.schemas import ImportOut

                out.print_json(ImportOut.from_result(result))
            clauses = [format_count(result.imported, "conversation") + " imported"]
            clauses += [f"{result.renamed:,} of them under new ids"] if result.renamed else []
            was = "was" if result.identical == 1 else "were"
            clauses += [f"{result.identical:,} {was} already stored"] if result.identical else []
            clauses += [f"{result.skipped:,} skipped, because others have their ids"] if result.skipped else []
            name = "standard input" if file == "-" else printable(file)
            out.line(f"{name}: {', '.join(clauses)}.")
            await reminders.remind(invocation, out, backstay)

    run_async(execute())
