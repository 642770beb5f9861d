"""`backstay conversations`: list, show, import and export conversations."""

from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import reminders, schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.options import OutputOptions, ReadingOptions
from backstay.cli.selection_options import ConditionOptions, SelectionOptions, refuse_unknown_job
from backstay.cli.text import format_count, format_time, printable, printable_lines
from backstay.errors import EmptySelection
from backstay.library.choices import DEFAULT_FORMAT, ExportFormat, ImportConflictPolicy
from backstay.library.id_text import parse_printed_id, printed_id
from backstay.limits import MAX_LIST_ENTRIES
from backstay.other_owners import OwnedKind

if TYPE_CHECKING:
    from backstay.library.conversation import Conversation
    from backstay.library.imports.imported_conversation import ImportResult
    from backstay.library.store import ConversationSummary

_COLUMNS = ("ID", "TOPIC", "PERSONA", "JOB", "ITEM", "TURNS", "CREATED")


@command()
async def list_conversations(
    session: CommandSession,
    conditions: ConditionOptions,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=MAX_LIST_ENTRIES, help="Maximum number of conversations.")
    ] = 50,
    before: Annotated[
        int | None, typer.Option(metavar="CURSOR", help="Continue a list; its last line names the cursor.")
    ] = None,
) -> None:
    """List conversations, the newest first.

    In a pipe: one conversation per line, tabs between id, topic, persona, job, item, number of turns and time.

    \b
    Examples:
      backstay conversations list --job topics --limit 10
      backstay conversations list --search "lighthouse" --older-than 30d
      backstay conversations list --json
    """
    selection = conditions.selection()
    narrowed = selection if selection.is_narrowed else None
    backstay, out = await session.open(), session.out
    page = await backstay.conversations.list(narrowed, before=before, limit=limit)
    if out.as_json:
        out.print_json(schemas.ConversationsOut.from_page(page, limit=limit))
    elif page:
        out.table(_COLUMNS, [_row(summary) for summary in page], unbroken=("CREATED",))
        if len(page) == limit:
            words = ["conversations", "list", *conditions.as_words(), f"--limit={limit}"]
            out.note(f"Next page: {session.invocation.command(*words, f'--before={page[-1].cursor}')}")
    else:
        kind = "more " if before is not None else "matching " if narrowed is not None else ""
        out.note(f"No {kind}conversations.")
        if not await backstay.conversations.list(None, limit=1):
            await reminders.mention_other_owners(out, backstay, OwnedKind.CONVERSATION)
    await session.remind()


@command()
async def show(
    session: CommandSession,
    conversation: Annotated[str, typer.Argument(metavar="ID", help="Id of the conversation.", parser=parse_printed_id)],
) -> None:
    """Show one conversation with all its turns.

    \b
    Example:
      backstay conversations show 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b
    """
    backstay = await session.open()
    record = await backstay.conversations.show(conversation)
    session.out.print_result(lambda: schemas.ConversationOut.from_conversation(record), *_format_lines(record))
    await session.remind()


@command()
async def import_(
    session: CommandSession,
    *,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="File to import, a folder of files or a pattern; - for standard input."),
    ],
    on_conflict: Annotated[
        ImportConflictPolicy,
        typer.Option(help="If another conversation has the id: import nothing, skip it, or give it a new id."),
    ] = ImportConflictPolicy.FAIL,
    reading: ReadingOptions,
) -> None:
    """Import conversations from a file: all of them or none.

    Reads OpenAI messages, ShareGPT and native conversations, as JSONL, JSON or Parquet, and backups, including
    reformatted ones and those of the original library; all of them compressed too. Keeps ids; unknown keys become
    metadata. Skips conversations that are already stored with the same content, so that importing a file with ids
    twice does no harm.

    \b
    Examples:
      backstay conversations import chats.jsonl
      backstay conversations import "data/train-*.parquet"
      backstay conversations import backup-1730720400123-abc123.json.zst --on-conflict skip
    """
    read = reading.options()
    backstay = await session.open(create=True)
    result = await backstay.conversations.import_file(
        file, on_conflict=on_conflict, read=read, on_note=session.out.input_note
    )
    name = "standard input" if file == "-" else printable(file)
    session.out.print_result(lambda: schemas.ImportOut.from_result(result), f"{name}: {_format_import(result)}.")
    await session.remind()


@command()
async def export(
    session: CommandSession,
    *,
    options: SelectionOptions,
    form: Annotated[
        ExportFormat, typer.Option("--format", help="messages is OpenAI chat JSONL; native has every field.")
    ] = DEFAULT_FORMAT,
    output: OutputOptions,
) -> None:
    """Export conversations for training, oldest first. Select them by ids, by conditions, or with --all.

    \b
    Examples:
      backstay conversations export --job topics -o topics.messages.jsonl
      backstay conversations export --all --format sharegpt | zstd > all.jsonl.zst
      backstay conversations export --ids-file good.txt --format csv -o good.csv
    """
    from backstay.library.formats import load_format

    out = session.out
    path = output.path(as_json=out.as_json)
    selection = options.selection().check()
    writer = load_format(form)()
    number = 0
    backstay = await session.open()
    with out.target(path, excluded=backstay.files) as write:
        write(writer.head())
        async for conversation in backstay.conversations.export(selection):
            write(writer.chunk(conversation))
            number += 1
        if not number:
            await refuse_unknown_job(backstay, selection)
        if path is not None and not number:
            # Raised before the file is complete, so that a mistyped name does not replace a good file by an empty one.
            raise EmptySelection(f"No conversation is selected; {printable(path)} is unchanged", path=path)
    if out.as_json:
        out.print_json(schemas.ExportOut(exported=number, format=form, path=path))
    else:
        where = f" to {printable(path)}" if path is not None else ""
        out.note(f"{format_count(number, 'conversation')} exported{where}.")
    await session.remind()


def _row(summary: "ConversationSummary") -> tuple[object, ...]:
    texts = (summary.topic or "", summary.persona or "")
    ids = (printed_id(value or "") for value in (summary.job_id, summary.item_id))
    return printed_id(summary.id), *texts, *ids, summary.turns, summary.created_at


def _format_lines(conversation: "Conversation") -> list[str]:
    fields = (
        ("id", printed_id(conversation.id or "")),
        ("topic", conversation.topic),
        ("persona", conversation.persona),
        ("content", conversation.content),
        ("job", conversation.job_id and printed_id(conversation.job_id)),
        ("item", conversation.item_id and printed_id(conversation.item_id)),
        ("created", conversation.created_at and format_time(conversation.created_at)),
        *(("metadata", f"{name}={value}") for name, value in conversation.metadata.items()),
    )
    lines = [f"{name:<9} {printable(value)}" for name, value in fields if value is not None]
    for turn in conversation.turns:
        lines += ["", f"{printable(turn.role)}:", *(f"  {line}" for line in printable_lines(turn.content))]
    return lines


def _format_import(result: "ImportResult") -> str:
    clauses = [format_count(result.imported, "conversation") + " imported"]
    clauses += [f"{result.renamed:,} of them under new ids"] if result.renamed else []
    was = "was" if result.identical == 1 else "were"
    clauses += [f"{result.identical:,} {was} already stored"] if result.identical else []
    clauses += [f"{result.skipped:,} skipped, because others have their ids"] if result.skipped else []
    return ", ".join(clauses)
