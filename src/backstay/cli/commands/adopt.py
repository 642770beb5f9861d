"""`backstay adopt`: use an app's own tables as conversations and turns."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from backstay.cli import schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.options import Yes
from backstay.cli.text import format_count
from backstay.errors import SettingsError
from backstay.library.adoption_request import AdoptionResult, UnadoptResult


@command()
async def adopt(
    session: CommandSession,
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
            "--undo",
            help="Undo the adoption: your rows stay as they are; values that Backstay stores for them are deleted.",
        ),
    ] = False,
    yes: Yes = False,
) -> None:
    """Use your app's tables of conversations and turns, in the same PostgreSQL database.

    Your rows stay where they are. Backstay creates views over them, so that everything works on them: list, search,
    export, import, backup, delete, restore, and batches that generate into them. An adoption applies completely
    or not at all. Repeat it when your tables have new columns. Options that are not given are read from [adopt] in
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
    if undo:
        await _undo(session, check=check, yes=yes)
        return
    pairs = _parse_column_pairs(mapping or ())
    result = await session.invocation.open().adopt(conversations, turns, pairs, check=check)
    session.out.print_result(
        lambda: schemas.AdoptionOut.from_adoption(result, is_check=check), *_format_result(result, check=check)
    )
    for remark in result.remarks:
        session.out.note(remark)


async def _undo(session: CommandSession, *, check: bool, yes: bool) -> None:
    preview = await session.invocation.open().unadopt(check=True)
    lost = _format_lost(preview)
    if lost and not check and not yes:
        await session.confirm(f"Stop using {' and '.join(preview.tables)}, and delete {lost}")
    result = preview if check else await session.invocation.open().unadopt()
    session.out.print_result(
        lambda: schemas.UnadoptResultOut.from_result(result, is_check=check), *_format_undo(result, lost, check=check)
    )


def _format_lost(preview: UnadoptResult) -> str:
    counts = ((preview.conversations, "conversation"), (preview.turns, "turn"))
    values = " and ".join(format_count(number, noun) for number, noun in counts if number)
    lost = [f"the values of {values} that have no column there"] if values else []
    if preview.curated:
        lost.append(f"the reviews and earlier versions of {format_count(preview.curated, 'conversation')}")
    return " and ".join(lost)


def _format_undo(result: UnadoptResult, lost: str, *, check: bool) -> Iterator[str]:
    if result.is_empty:
        yield "No tables are adopted."
    if result.tables:
        outcome = "would no longer be adopted" if check else "are no longer adopted; their rows are unchanged"
        yield f"{' and '.join(result.tables)} {outcome}."
    if result.dropped:
        yield f"No longer in the database: {' and '.join(result.dropped)}."
    if lost:
        yield f"{'This deletes' if check else 'Deleted'}: {lost}."


def _format_result(result: AdoptionResult, *, check: bool) -> Iterator[str]:
    for table in result.tables:
        word = "would be" if check else "are already" if result.was_adopted else "are now"
        yield f"{table.user_table} ({format_count(table.rows, 'row')}) {word} {table.name}"
        pairs = ", ".join(f"{name} = {column}" for name, column in table.columns.items())
        yield f"  {pairs}"
        if table.side_columns:
            yield f"  stored by Backstay, without a column there: {', '.join(table.side_columns)}"
        if table.other_columns:
            yield f"  also in every backup: {', '.join(table.other_columns)}"
    writable = "" if result.not_writable_reasons else ", import, generating"
    yield f"Works: list, search, export, backup, delete, restore{writable}"
    if result.not_writable_reasons:
        yield f"Does not work: import, generating. {'; '.join(result.not_writable_reasons)}"


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
