"""`backstay adopt`: tables that an app has become our conversations and turns."""

from typing import Annotated

import typer

from backstay.cli.confirm import confirm
from backstay.cli.invocation import Invocation, run_async
from backstay.cli.options import AsJson, Yes
from backstay.cli.output import Output
from backstay.cli.text import format_count
from backstay.library.adoption import AdoptionResult


def adopt(
    context: typer.Context,
    conversations: Annotated[
        str | None, typer.Option(metavar="TABLE", help="Your table of conversations, as public.chats.")
    ] = None,
    turns: Annotated[str | None, typer.Option(metavar="TABLE", help="Your table of turns, as public.messages.")] = None,
    mapped: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="OURS=YOURS,…",
            help="Which of your columns is which of ours, those of a turn behind `turns.`; a column of the same name "
            "and a fitting type need not be named, and none is meant by OURS= alone. May be repeated.",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what works and what does not; write nothing.")
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take it back; your rows stay as they are, what is kept beside them goes.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Work on the tables of conversations and turns that your app has in the same PostgreSQL database.

    Your rows stay where they are. Views under our names are made over them, so that everything works on them: list,
    search, export, import, backup, delete, restore, and batches that generate into them. It is made whole or not at
    all; again does no harm, and takes in columns that your tables have got since. What is not said here is read from
    [adopt] in backstay.toml.

    \b
    Ours: id owner topic persona content metadata job_id item_id created_at updated_at, and of a turn
          turns.conversation turns.order or turns.sequence turns.id turns.role turns.content turns.metadata

    \b
    Examples:
      backstay adopt --check --conversations public.chats --turns public.messages --map id=chat_id,owner=user_id
      backstay adopt --conversations public.chats --turns public.messages \\
                     --map id=chat_id,owner=user_id,topic=title \\
                     --map turns.role=sender,turns.content=body,turns.order=created_at
      backstay adopt --undo
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)
    if undo:
        _undo(invocation, out, check=check, yes=yes)
        return
    from backstay.library.adoption_file import parse_column_pairs

    done = run_async(invocation.open().adopt(conversations, turns, parse_column_pairs(mapped or ()), check=check))
    if as_json:
        from backstay.schemas import AdoptionOut

        out.answer(AdoptionOut.from_adoption(done, is_check=check))
    _print_result(out, done, check=check)


def _undo(invocation: Invocation, out: Output, *, check: bool, yes: bool) -> None:
    found = run_async(invocation.open().unadopt(check=True))
    lost = " and ".join(
        format_count(number, what)
        for number, what in ((found.conversations, "conversation"), (found.turns, "turn"))
        if number
    )
    if lost and not check and not yes:
        confirm(f"Give {' and '.join(found.tables)} back, and lose what is kept beside {lost}, having no column there")
    done = found if check else run_async(invocation.open().unadopt())
    if out.as_json:
        from backstay.schemas import UnadoptResultOut

        out.answer(UnadoptResultOut.from_result(done, is_check=check))
    if done.is_empty:
        out.line("No tables are adopted.")
    if done.tables:
        told = "would no longer be adopted" if check else "are no longer adopted; their rows are as they were"
        out.line(f"{' and '.join(done.tables)} {told}.")
    if done.dropped:
        out.line(f"Not there any more: {' and '.join(done.dropped)}.")
    if lost:
        out.line(f"What {'is' if check else 'was'} kept beside {lost} {'would be ' if check else 'is '}gone.")


def _print_result(out: Output, done: AdoptionResult, *, check: bool) -> None:
    for table in done.tables:
        word = "would be" if check else "are already" if done.was_adopted else "are now"
        out.line(f"{table.user_table} ({format_count(table.rows, 'row')}) {word} {table.name}")
        pairs = ", ".join(f"{ours} = {theirs}" for ours, theirs in table.columns.items())
        out.line(f"  {pairs}")
        if table.side_columns:
            out.line(f"  kept beside it, having no column there: {', '.join(table.side_columns)}")
        if table.other_columns:
            out.line(f"  also in every backup: {', '.join(table.other_columns)}")
    out.line(
        "Works: list, search, export, backup, delete, restore"
        + ("" if done.not_writable_reason else ", import, generating")
    )
    if done.not_writable_reason:
        out.line(f"Does not work: import, generating. {done.not_writable_reason}")
    for remark in done.remarks:
        out.note(remark)
