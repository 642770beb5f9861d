"""Arguments and options that several commands share, each described once."""

from typing import Annotated

import typer

from backstay.library.id_text import id_of_printed
from backstay.limits import MAX_RPM, MAX_TPM

JobArgument = Annotated[
    str, typer.Argument(metavar="JOB", help="Name of the job.", parser=id_of_printed, show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON objects instead of text.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
Concurrency = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Maximum calls in flight [default: the job's last value, else 16].", show_default=False
    ),
]
Rpm = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=0,
        max=MAX_RPM,
        help="Maximum requests per minute, per account; 0 for no limit. The job stores it.",
        show_default=False,
    ),
]
Tpm = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=0,
        max=MAX_TPM,
        help="Maximum tokens per minute, per account; 0 for no limit. The job stores it.",
        show_default=False,
    ),
]
Patience = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Pause after this time without a successful answer [default: 10m, longer if the provider names a time].",
        show_default=False,
    ),
]
Limit = Annotated[int | None, typer.Option(metavar="N", help="Start at most N items in this run.", show_default=False)]
IdColumn = Annotated[
    str | None, typer.Option(metavar="C", help="Column of the items' ids [default: id, if there is one].")
]
TopicColumn = Annotated[str | None, typer.Option(metavar="C", help="Column of the topics [default: topic].")]
PersonaColumn = Annotated[
    str | None, typer.Option(metavar="C", help="Column of the personas [default: persona, if there is one].")
]
AllowKey = Annotated[
    str | None,
    typer.Option(
        metavar="HOST", help="Allow the recipe to send its key to HOST, also in later runs.", show_default=False
    ),
]
BackupArgument = Annotated[str, typer.Argument(metavar="BACKUP", help="Id of the backup.", show_default=False)]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Reason, shown in the list of backups.")]
ExpiresIn = Annotated[
    str | None,
    typer.Option(
        metavar="AGE", help="Time to keep the backup, such as 12h, 30d or 2w [default: BACKUP_RETENTION_DAYS]."
    ),
]
