"""`backstay adopt`: use an app's own tables as conversations and turns."""

from collections.abc import Iterable
from typing import Annotated

import typer

from backstay.cli.confirm import confirm
from backstay.cli.invocation import Invocation, run_async
from backstay.cli.options import AsJson, Yes
from backstay.cli.output import Output
from backstay.cli.text import format_count
from backstay.errors import SettingsError
from backstay.library.adoption import AdoptionResult


def adopt(
    context: typer.Context,
    conversations: Annotated[
        str | None, typer.Option(metavar="TABLE", help="Your table of conversations, like public.chats.")
    ] = None,
    turns: Annotated[
        str | None, typer.Option(metavar="TABLE", help="Your table of turns, like public.messages.")
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="NAME=COLUMN,…",
            help="Your column for each built-in one; prefix a turn's with `turns.`. A column of the same name and a "
            "compatible type is mapped by itself; NAME= maps it to none. May be repeated.",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only report what works and what does not; write nothing.")
    ] = False,
    undo: Annotated[
        bool,
        typer.Option(
            "--undo", help="Undo it: your rows stay as they are; values that Backstay stores for them are deleted."
        ),
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Use your app's tables of conversations and turns, in the same PostgreSQL database.

    Your rows stay where they are. Backstay creates views over them, so that everything works on them: list, search,
    export, import, backup, delete, restore, and batches that generate into them. It applies completely or not
    at all. Run it again when your tables have new columns. Options that are not given are read from [adopt] in
    backstay.toml.

    \b
    Names: id owner topic persona content metadata job_id item_id created_at updated_at, and for turns
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

    result = run_async(invocation.open().adopt(conversations, turns, _parse_column_pairs(mapping or ()), check=check))
    if as_json:
        from backstay.schemas import AdoptionOut

        out.print_json(AdoptionOut.from_adoption(result, is_check=check))
    _print_result(out, result, check=check)


def _undo(invocation: Invocation, out: Output, *, check: bool, yes: bool) -> None:
    preview = run_async(invocation.open().unadopt(check=True))
    lost = " and ".join(
        format_count(number, what)
        for number, what in ((preview.conversations, "conversation"), (preview.turns, "turn"))
        if number
    )
    if lost and not check and not yes:
        confirm(f"Stop using {' and '.join(preview.tables)}, and delete the values of {lost} that have no column there")
    result = preview if check else run_async(invocation.open().unadopt())
    if out.as_json:
        from backstay.schemas import UnadoptResultOut

        out.print_json(UnadoptResultOut.from_result(result, is_check=check))
    if result.is_empty:
        out.line("No tables are adopted.")
    if result.tables:
        outcome = "would no longer be adopted" if check else "are no longer adopted; their rows are unchanged"
        out.line(f"{' and '.join(result.tables)} {outcome}.")
    if result.dropped:
        out.line(f"No longer in the database: {' and '.join(result.dropped)}.")
    if lost:
        out.line(f"Values of {lost} that had no column there {'would be' if check else 'are'} deleted.")


def _print_result(out: Output, result: AdoptionResult, *, check: bool) -> None:
    for table in result.tables:
        word = "would be" if check else "are already" if result.was_adopted else "are now"
        out.line(f"{table.user_table} ({format_count(table.rows, 'row')}) {word} {table.name}")
        pairs = ", ".join(f"{name} = {column}" for name, column in table.columns.items())
        out.line(f"  {pairs}")
        if table.side_columns:
            out.line(f"  stored by Backstay, without a column there: {', '.join(table.side_columns)}")
        if table.other_columns:
            out.line(f"  also in every backup: {', '.join(table.other_columns)}")
    out.line(
        "Works: list, search, export, backup, delete, restore"
        + ("" if result.not_writable_reason else ", import, generating")
    )
    if result.not_writable_reason:
        out.line(f"Does not work: import, generating. {result.not_writable_reason}")
    for remark in result.remarks:
        out.note(remark)


def _parse_column_pairs(texts: Iterable[str]) -> dict[str, str]:
    """Parse texts of comma-separated pairs `name=column`. Raises SettingsError."""
    mapping: dict[str, str] = {}
    for pair in (pair.strip() for text in texts for pair in text.split(",")):
        if not pair:
            continue
        name, separator, column = pair.partition("=")
        if not separator or not name.strip():
            raise SettingsError(
                f"--map takes pairs of name=column, not {pair!r}, for instance id=chat_id,turns.content=body",
                setting="map",
            )
        if name.strip() in mapping:
            raise SettingsError(f"--map names the column of {name.strip()} twice", setting="map")
        mapping[name.strip()] = column.strip()
    return mapping
