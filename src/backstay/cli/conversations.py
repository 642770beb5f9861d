"""`backstay conversations`: list and show conversations; the other commands have modules of their own."""

from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import reminders
from backstay.cli.deleting import delete
from backstay.cli.exits import EPILOG
from backstay.cli.export import export
from backstay.cli.importing import import_
from backstay.cli.invocation import Invocation, run_async
from backstay.cli.options import AsJson
from backstay.cli.output import Output
from backstay.cli.selection_options import Job, OlderThan, Persona, Search, format_conditions, selection_from
from backstay.cli.text import printable, printable_lines
from backstay.coordination.store import OwnedKind
from backstay.library.id_text import id_of_printed, printed_id
from backstay.limits import MAX_LISTED

if TYPE_CHECKING:
    from backstay.library.conversation import Conversation
    from backstay.library.store import ConversationSummary

_COLUMNS = ("ID", "TOPIC", "PERSONA", "JOB", "ITEM", "TURNS", "CREATED")

app = typer.Typer(help="List, show, import, export and delete conversations.", no_args_is_help=False)


def list_conversations(
    context: typer.Context,
    job: Job = None,
    search: Search = None,
    persona: Persona = None,
    older_than: OlderThan = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=MAX_LISTED, help="Maximum number of conversations.")
    ] = 50,
    before: Annotated[
        int | None, typer.Option(metavar="CURSOR", help="Continue a list; its last line names the cursor.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List conversations, the newest first.

    In a pipe: one conversation per line, tabs between id, topic, persona, job, item, number of turns and time.

    \b
    Examples:
      backstay conversations list --job topics --limit 10
      backstay conversations list --search "lighthouse" --older-than 30d
      backstay conversations list --json
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)
    selection = selection_from(job=job, search=search, persona=persona, older_than=older_than)
    narrowed = selection if selection.is_narrowed else None

    async def execute() -> None:
        async with invocation.open() as backstay:
            page = await backstay.conversations.list(narrowed, before=before, limit=limit)
            if as_json:
                from backstay.schemas import ConversationsOut

                out.print_json(ConversationsOut.from_page(page, limit=limit))
            elif page:
                out.table(_COLUMNS, [_row(summary) for summary in page], whole=("CREATED",))
                if len(page) == limit:
                    conditions = format_conditions(job=job, search=search, persona=persona, older_than=older_than)
                    words = ["conversations", "list", *conditions, f"--limit={limit}"]
                    out.note(f"Next page: {invocation.command(*words, f'--before={page[-1].cursor}')}")
            else:
                out.note("No conversations." if narrowed is None else "No matching conversations.")
                if not await backstay.conversations.list(None, limit=1):
                    await reminders.mention_other_owners(out, backstay, OwnedKind.CONVERSATION)
            await reminders.remind(invocation, out, backstay)

    run_async(execute())


def show(
    context: typer.Context,
    conversation: Annotated[
        str, typer.Argument(metavar="ID", help="Id of the conversation.", parser=id_of_printed, show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Show one conversation with all its turns.

    \b
    Example:
      backstay conversations show 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)

    async def execute() -> None:
        async with invocation.open() as backstay:
            record = await backstay.conversations.show(conversation)
            if as_json:
                from backstay.schemas import ConversationOut

                out.print_json(ConversationOut.from_conversation(record))
            for line in _format_lines(record):
                out.line(line)
            await reminders.remind(invocation, out, backstay)

    run_async(execute())


def _row(summary: "ConversationSummary") -> tuple[object, ...]:
    known = (summary.topic, summary.persona)
    ids = (printed_id(value or "") for value in (summary.job_id, summary.item_id))
    return printed_id(summary.id), *(value or "" for value in known), *ids, summary.turns, summary.created_at


def _format_lines(conversation: "Conversation") -> list[str]:
    fields = (
        ("id", printed_id(conversation.id or "")),
        ("topic", conversation.topic),
        ("persona", conversation.persona),
        ("content", conversation.content),
        ("job", conversation.job_id and printed_id(conversation.job_id)),
        ("item", conversation.item_id and printed_id(conversation.item_id)),
        ("created", conversation.created_at and f"{conversation.created_at:%Y-%m-%d %H:%M:%S}Z"),
        *(("metadata", f"{name}={value}") for name, value in conversation.metadata.items()),
    )
    lines = [f"{name:<9} {printable(value)}" for name, value in fields if value is not None]
    for turn in conversation.turns:
        lines += ["", f"{printable(turn.role)}:", *(f"  {line}" for line in printable_lines(turn.content))]
    return lines


app.command("list", epilog=EPILOG)(list_conversations)
app.command(epilog=EPILOG)(show)
app.command("import", epilog=EPILOG)(import_)
app.command(epilog=EPILOG)(export)
app.command(epilog=EPILOG)(delete)
