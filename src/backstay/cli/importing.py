"""`backstay conversations import`: conversations out of files."""

from enum import StrEnum
from typing import Annotated

import typer

from backstay.cli import reminders
from backstay.cli.invocation import Invocation, run_async
from backstay.cli.options import AsJson
from backstay.cli.output import Output
from backstay.cli.text import format_count, printable


class ImportConflictChoice(StrEnum):
    """The choices of `backstay.library.imports.incoming.OnImportConflict`, known without loading it."""

    FAIL = "fail"
    SKIP = "skip"
    NEW = "new"


def import_(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file; - for standard input.", show_default=False)],
    on_conflict: Annotated[
        ImportConflictChoice,
        typer.Option(help="When another conversation has the id: import nothing, leave it out, or give a new id."),
    ] = ImportConflictChoice.FAIL,
    as_json: AsJson = False,
) -> None:
    """Bring conversations in from a file, all of them or none.

    Takes OpenAI messages, ShareGPT and native conversations, as JSONL or as a JSON array, and backups, also
    reformatted ones, and the original's. Ids are kept where there are any; keys that are not ours become metadata.
    What is there already, with the same content, is left as it is, so that importing a file with ids twice is safe.

    \b
    Examples:
      backstay conversations import chats.jsonl
      backstay conversations import backup-1730720400123-abc123.json.zst --on-conflict skip
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def do() -> None:
        async with invocation.open(create=True) as backstay:
            done = await backstay.conversations.import_file(file, on_conflict=on_conflict)
            if as_json:
                from backstay.schemas import ImportOut

                out.answer(ImportOut.from_result(done))
            told = [format_count(done.imported, "conversation") + " imported"]
            told += [f"{done.renamed:,} of them under new ids"] if done.renamed else []
            was = "was" if done.identical == 1 else "were"
            told += [f"{done.identical:,} {was} there already"] if done.identical else []
            told += [f"{done.skipped:,} left out, because others have their ids"] if done.skipped else []
            name = "standard input" if file == "-" else printable(file)
            out.line(f"{name}: {', '.join(told)}.")
            await reminders.remind(invocation, out, backstay)

    run_async(do())
