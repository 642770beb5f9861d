"""Arguments and options that several commands share, each described once."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.bad_row_policy import BadRowPolicy, choose_policy
from backstay.cli.durations import parse_duration
from backstay.cli.text import printable
from backstay.errors import SettingsError
from backstay.library.id_text import parse_printed_id
from backstay.limits import MAX_RPM, MAX_TPM

if TYPE_CHECKING:
    from datetime import timedelta

    from backstay.batch.item_columns import ColumnMapping
    from backstay.cli.output import Output
    from backstay.readers.bad_rows import BadRowsReport
    from backstay.readers.read_options import ReadOptions

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Name of the job.", parser=parse_printed_id)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON objects instead of text.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
Concurrency = Annotated[
    int | None, typer.Option(metavar="N", help="Maximum calls in flight [default: the job's last value, else 16].")
]
Limit = Annotated[int | None, typer.Option(metavar="N", help="Start at most N items in this run.")]
AllowKey = Annotated[
    str | None, typer.Option(metavar="HOST", help="Allow the recipe to send its key to HOST, also in later runs.")
]
BackupArgument = Annotated[str, typer.Argument(metavar="BACKUP", help="Id of the backup.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateOptions:
    """A run's rate limits, and how long the run waits for a provider."""

    rpm: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            max=MAX_RPM,
            help="Maximum requests per minute, per account; 0 for no limit. The job stores it.",
        ),
    ] = None
    tpm: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            max=MAX_TPM,
            help="Maximum tokens per minute, per account; 0 for no limit. The job stores it.",
        ),
    ] = None
    patience: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Pause after this time without a successful answer [default: 10m, longer if the provider names a "
            "time].",
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnOptions:
    """The input columns that hold an item's id, topic and persona."""

    id_column: Annotated[
        str | None, typer.Option(metavar="C", help="Column of the items' ids [default: id, if there is one].")
    ] = None
    topic_column: Annotated[str | None, typer.Option(metavar="C", help="Column of the topics [default: topic].")] = None
    persona_column: Annotated[
        str | None, typer.Option(metavar="C", help="Column of the personas [default: persona, if there is one].")
    ] = None

    def mapping(self) -> "ColumnMapping":
        from backstay.batch.item_columns import ColumnMapping

        return ColumnMapping(self.id_column, self.topic_column, self.persona_column)


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRowOptions:
    """The treatment of unusable rows."""

    on_bad_row: Annotated[
        BadRowPolicy | None,
        typer.Option(
            help="If a row cannot be used: refuse the input [default], skip the row, or also write it to the file of "
            "--quarantine.",
            show_default=False,
        ),
    ] = None
    quarantine: Annotated[
        str | None, typer.Option(metavar="FILE", help="File for bad rows, unchanged; implies --on-bad-row quarantine.")
    ] = None

    def policy(self) -> BadRowPolicy:
        """Return the policy. Raises SettingsError if the two options contradict each other."""
        return choose_policy(self.on_bad_row, self.quarantine)

    def report(self, out: "Output", report: "BadRowsReport") -> None:
        """Print how many rows were left out, if any, with the reason of the first one."""
        if report.count:
            rows = "1 row was" if report.count == 1 else f"{report.count:,} rows were"
            kept = f" and kept in {printable(self.quarantine)}" if self.quarantine is not None else ""
            first = ":" if report.count == 1 else "; the first is"
            out.note(f"{rows} left out{kept}{first} {printable(str(report.examples[0]))}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingOptions:
    """How the input is read, where that cannot be detected."""

    encoding: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Encoding of the text, such as cp1252 [default: UTF-8, or as marked]."),
    ] = None
    delimiter: Annotated[
        str | None,
        typer.Option(metavar="C", help="Character between the cells of CSV, or tab [default: as in the header]."),
    ] = None

    def options(self) -> "ReadOptions":
        """Return the options of the readers. Raises SettingsError."""
        from backstay.readers.read_options import ReadOptions

        return ReadOptions(self.encoding, self.delimiter)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupOptions:
    """The reason and the retention of a new backup."""

    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Reason, shown in the list of backups.")] = None
    expires_in: Annotated[
        str | None,
        typer.Option(
            metavar="AGE", help="Time to keep the backup, such as 12h, 30d or 2w [default: BACKUP_RETENTION_DAYS]."
        ),
    ] = None

    def retention(self) -> "timedelta | None":
        """Return the time to keep the backup; None if the option is not set. Raises SettingsError."""
        return parse_duration(self.expires_in, option="--expires-in") if self.expires_in is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """The file to which a command writes its result."""

    target: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="File to write, completely or not at all [default: standard output]."
        ),
    ] = None

    def path(self, *, as_json: bool) -> str | None:
        """Return the file to write; None for standard output. Raises SettingsError."""
        path = None if self.target == "-" else self.target
        if as_json and path is None:
            raise SettingsError(
                "With --json, name a file with -o: standard output carries the JSON result", setting="output"
            )
        return path
