"""`backstay conversations import`."""

from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.index_update import update_index
from backstay.cli.options import BadRowOptions, ReadingOptions
from backstay.cli.text import format_count, printable
from backstay.library.choices import ImportConflictPolicy

if TYPE_CHECKING:
    from backstay.library.imports.imported_conversation import ImportResult


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
        typer.Option(help="If another conversation has the same id: import nothing, skip it, or give it a new id."),
    ] = ImportConflictPolicy.FAIL,
    id_prefix: Annotated[
        str | None,
        typer.Option(metavar="PREFIX", help="Text to put before the id of each conversation, such as faq-."),
    ] = None,
    bad_rows: BadRowOptions,
    reading: ReadingOptions,
    strict: Annotated[
        bool, typer.Option("--strict", help="Import nothing if trainers would refuse any conversation.")
    ] = False,
    split_reasoning: Annotated[
        bool, typer.Option("--split-reasoning", help="Store <think>…</think> at the start of an answer as reasoning.")
    ] = False,
) -> None:
    """Import conversations from a file: all of them or none.

    Recognizes messages (OpenAI, Anthropic, Bedrock, Gemini), ShareGPT, Alpaca, prompts with completions, ChatML,
    preferences and native conversations, as JSONL, JSON, CSV or Parquet, and backups, including reformatted ones and
    those of the original library; each may be compressed. Keeps ids, tool calls, reasoning and parts; unknown keys
    become metadata. Skips conversations that are already stored with the same content, so importing a file with ids
    twice is safe. Warns about conversations that trainers would refuse.

    A bad row refuses the whole file, unless bad rows are skipped, or written unchanged to a quarantine file, to be
    repaired and imported later. A backup is imported as a whole or not at all.

    \b
    Examples:
      backstay conversations import chats.jsonl
      backstay conversations import chats.jsonl --quarantine bad.jsonl
      backstay conversations import "data/train-*.parquet"
      backstay conversations import faq.csv --id-prefix faq-
      backstay conversations import backup-1730720400123-abc123.json.zst --on-conflict skip
    """
    bad_rows.policy()  # checks the options before anything is opened
    read = reading.options()
    backstay = await session.open(create=True)
    result = await backstay.conversations.import_file(
        file,
        on_conflict=on_conflict,
        id_prefix=id_prefix,
        on_bad_row=bad_rows.on_bad_row,
        quarantine=bad_rows.quarantine,
        strict=strict,
        split_reasoning=split_reasoning,
        read=read,
        on_note=session.out.input_note,
    )
    name = "standard input" if file == "-" else printable(file)
    session.out.print_result(
        lambda: schemas.ImportOut.from_result(result, session.out.input_notes), f"{name}: {_format_import(result)}."
    )
    bad_rows.report(session.out, result.bad_rows)
    if result.imported:
        session.out.note(f"Select them with: --import {result.import_id}")
    if result.warnings:
        from backstay.library.trainer_checks import format_warnings

        session.out.note(f"Warning: {format_warnings(result.warned, result.warnings)}.")
    await session.remind()
    await update_index(backstay)


def _format_import(result: "ImportResult") -> str:
    clauses = [format_count(result.imported, "conversation") + " imported"]
    clauses += [f"{result.renamed:,} of them under new ids"] if result.renamed else []
    was = "was" if result.identical == 1 else "were"
    clauses += [f"{result.identical:,} {was} already stored"] if result.identical else []
    clauses += [f"{result.skipped:,} skipped, because others have their ids"] if result.skipped else []
    return ", ".join(clauses)
