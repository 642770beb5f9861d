"""`backstay conversations export`."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.output import Output, is_terminal, refuse_folder_of_backups
from backstay.cli.process_tuning import tune_garbage_collector
from backstay.cli.selection_options import SelectionOptions, refuse_unknown
from backstay.cli.text import format_count, printable
from backstay.errors import EmptySelection, SettingsError
from backstay.library.choices import ExportFormat
from backstay.library.format_options import PairSource
from backstay.library.formats import ReasoningMode, SystemMode, load_format

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backstay.library.exports.request import ExportChoices, ExportResult


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """The options of an export."""

    export_format: Annotated[
        ExportFormat | None,
        typer.Option(
            "--format",
            help="messages is OpenAI chat JSONL; native has every field [default: by file ending, else messages].",
        ),
    ] = None
    target: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="File or folder to write, completely or not at all; .gz and .zst compress [default: standard output].",
        ),
    ] = None
    split: Annotated[
        str | None, typer.Option(metavar="NAME=F,…", help="Split into files, such as train=0.95,test=0.05.")
    ] = None
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the split.")] = 0
    shard_size: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Maximum conversations per file of a folder.")
    ] = None
    reasoning: Annotated[
        ReasoningMode, typer.Option(help="Reasoning; inline writes it before the text, in <think> tags.")
    ] = ReasoningMode.KEEP
    system: Annotated[SystemMode, typer.Option(help="System and developer messages.")] = SystemMode.KEEP
    metadata: Annotated[
        bool, typer.Option("--metadata", help="Also write ids, topic, persona and metadata; JSON formats only.")
    ] = False
    with_fields: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="FIELD,…",
            help="Add fields to each row, such as id,parameters,usage.",
        ),
    ] = None
    parsed_arguments: Annotated[
        bool,
        typer.Option(
            "--parsed-arguments", help="Write arguments of tool calls as objects, as most chat templates expect."
        ),
    ] = False
    pairs: Annotated[
        PairSource,
        typer.Option(
            help="What preference pairs are made of: imported pairs, or edits (rejected: first, chosen: now)."
        ),
    ] = PairSource.IMPORTS
    excel: Annotated[bool, typer.Option("--excel", help="Mark the CSV file as UTF-8, for Excel.")] = False
    lossy: Annotated[bool, typer.Option("--lossy", help="Leave out what the format cannot hold.")] = False
    strict: Annotated[
        bool, typer.Option("--strict", help="Write nothing if trainers would refuse any conversation.")
    ] = False
    card: Annotated[bool, typer.Option("--card", help="Also write a dataset card.")] = False
    license_text: Annotated[str | None, typer.Option("--license", metavar="TEXT", help="License for the card.")] = None
    problems: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write the ids of conversations with losses or warnings, and why, for use as --ids-file.",
        ),
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report what would be exported and left out.")] = False

    def path(self, *, as_json: bool) -> str | None:
        """Return the file or folder to write; None for standard output. Raises SettingsError."""
        path = None if self.target == "-" else self.target
        if self.dry_run:
            return path
        if as_json and path is None:
            raise SettingsError(
                "With --json, name a file with -o: standard output carries the JSON result", setting="output"
            )
        if path is None and self.export_format == "parquet" and is_terminal(1):
            raise SettingsError(
                "Parquet is binary and standard output is a terminal; name a file with -o", setting="output"
            )
        return path

    def choices(self) -> "ExportChoices":
        """Return what the export writes."""
        return {
            "format": self.export_format,
            "split": self.split,
            "seed": self.seed,
            "shard_size": self.shard_size,
            "reasoning": self.reasoning,
            "system": self.system,
            "metadata": self.metadata,
            "with_fields": self.with_fields if self.with_fields is not None else (),
            "parsed_arguments": self.parsed_arguments,
            "pairs": self.pairs,
            "excel": self.excel,
            "problems": self.problems,
            "lossy": self.lossy,
            "strict": self.strict,
            "card": self.card,
            "license": self.license_text,
        }


@command()
async def export(session: CommandSession, *, options: SelectionOptions, choices: ExportOptions) -> None:
    """Export conversations for training, oldest first: all, or those selected by ids or conditions.

    An export that would lose something, such as tool calls in CSV, is refused unless --lossy is given. Warns about
    conversations that trainers would refuse. With --dry-run, it only reports all of this.

    \b
    Examples:
      backstay conversations export --job topics -o topics.messages.jsonl
      backstay conversations export --format sharegpt -o all.jsonl.zst
      backstay conversations export --format csv --dry-run --problems problems.txt
      backstay conversations export --with id,parameters,usage -o all.jsonl
      backstay conversations export --edited --pairs edits --format trl-preference -o pairs.jsonl
      backstay conversations export --split train=0.95,test=0.05 --card -o dataset
      backstay conversations export --ids-file good.txt -o good.csv
    """
    out = session.out
    path = choices.path(as_json=out.as_json)
    selected = options.selection()
    selection = selected if selected.is_narrowed or selected.everything else None
    backstay = await session.open()
    tune_garbage_collector()
    if path is not None:
        refuse_folder_of_backups(path)
    try:
        if choices.dry_run:
            result = await backstay.conversations.plan_export(path, selection, **choices.choices())
        else:
            with out.flushed() if path is None else nullcontext(path) as target:
                result = await backstay.conversations.write_export(target, selection, **choices.choices())
    except EmptySelection:
        await refuse_unknown(backstay, selected)
        raise
    if not result.exported:
        await refuse_unknown(backstay, selected)
    if choices.dry_run:
        out.print_result(lambda: schemas.ExportPlanOut.from_result(result), *_format_plan(result, choices))
    elif out.as_json:
        out.print_json(schemas.ExportOut.from_result(result))
    else:
        _report(out, result, choices)
    await session.remind()


def _report(out: Output, result: "ExportResult", choices: ExportOptions) -> None:
    """Print what was exported, and what was not."""
    where = f" to {printable(result.path)}" if result.path is not None else ""
    sides = ", ".join(f"{name} {count:,}" for name, count in result.splits.items())
    files = f" in {format_count(len(result.files), 'file')}" if choices.shard_size is not None else ""
    out.note(f"{_format_exported(result)} exported{where}{files}{f': {sides}' if sides else ''}.")
    if result.losses:
        out.note(f"Left out, because {result.format} cannot hold it: {', '.join(map(str, result.losses))}.")
    for name in (name for name, count in result.splits.items() if not count):
        out.note(f"No conversation is on the side {name}, so its file is empty.")
    for line in _format_remarks(result, choices):
        out.note(line)


def _format_exported(result: "ExportResult") -> str:
    """Return the number of conversations, or of pairs where a row is made of two."""
    is_paired = load_format(result.format).row_conversations == 2
    return format_count(result.exported // 2, "pair") if is_paired else format_count(result.exported, "conversation")


def _format_plan(plan: "ExportResult", choices: ExportOptions) -> "Iterator[str]":
    yield f"{_format_exported(plan)} would be exported as {plan.format}."
    if plan.losses:
        condition = "" if choices.lossy else "; without --lossy, the export is refused"
        losses = ", ".join(map(str, plan.losses))
        yield f"Would be left out, because {plan.format} cannot hold it: {losses}{condition}."
    yield from _format_remarks(plan, choices)


def _format_remarks(result: "ExportResult", choices: ExportOptions) -> "Iterator[str]":
    if result.left_out:
        may_have_metadata = not choices.metadata and load_format(result.format).suffix == "jsonl"
        hint = "--metadata writes them" if may_have_metadata else "--format native writes every field"
        yield f"Not written: {', '.join(result.left_out)}; {hint}."
    if result.warnings:
        from backstay.library.trainer_checks import format_warnings

        yield f"Warning: {format_warnings(result.warned, result.warnings)}."
    yield from result.notes
