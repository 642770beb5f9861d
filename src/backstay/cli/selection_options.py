"""The options that select conversations, shared by list, export, backups and delete."""

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.durations import parse_duration
from backstay.cli.text import printable
from backstay.clock import SystemClock
from backstay.errors import EmptySelection, InputNotFound, InputUnreadable, SettingsError
from backstay.library.id_text import id_of_printed, printed_id

if TYPE_CHECKING:
    from backstay.app import Backstay
    from backstay.library.selection import Selection

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="IDS", help="Ids of conversations.", parser=id_of_printed, show_default=False),
]
IdsFile = Annotated[str | None, typer.Option(metavar="F", help="File with one id per line; - for standard input.")]
Job = Annotated[str | None, typer.Option(metavar="J", help="Only conversations of this job.", parser=id_of_printed)]
Search = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Only those that contain TEXT in topic, persona or a turn, ignoring case."),
]
Persona = Annotated[str | None, typer.Option(metavar="P", help="Only those with exactly this persona.")]
OlderThan = Annotated[
    str | None, typer.Option(metavar="AGE", help="Only those created longer ago than AGE, such as 12h, 30d or 2w.")
]
Everything = Annotated[bool, typer.Option("--all", help="Select all conversations.")]


def selection_from(
    ids: list[str] | None = None,
    ids_file: str | None = None,
    *,
    job: str | None = None,
    search: str | None = None,
    persona: str | None = None,
    older_than: str | None = None,
    everything: bool = False,
) -> "Selection":
    """Return the selection of these options, which may be empty. Reads standard input for `-`.

    Raises:
        SettingsError: the options contradict each other, or one is wrong.
        EmptySelection: the file of ids is empty.
        InputError: the file of ids cannot be read.
    """
    from backstay.library.selection import Selection

    named = list(ids or [])
    if ids_file is not None:
        listed = _read_ids(ids_file)
        if not listed:
            raise EmptySelection(f"{printable(ids_file)} names no conversations", path=ids_file)
        named += listed
    if search == "":
        raise SettingsError("--search is empty; select all conversations with --all", setting="search")
    selection = Selection(
        tuple(dict.fromkeys(named)),
        job,
        everything,
        search=search,
        persona=persona,
        created_before=_before(older_than),
    )
    if everything and selection.is_narrowed:
        raise SettingsError("--all cannot be combined with ids or conditions", setting="all")
    return selection


async def refuse_unknown_job(backstay: "Backstay", selection: "Selection") -> None:
    """Raise JobNotFound if the selection names a job that does not exist."""
    if selection.job_id is not None:
        await backstay.batches.checkpoint(selection.job_id)


def format_conditions(*, job: str | None, search: str | None, persona: str | None, older_than: str | None) -> list[str]:
    """Return the options as words of a command line."""
    options = (
        ("--job", job and printed_id(job)),
        ("--search", search),
        ("--persona", persona),
        ("--older-than", older_than),
    )
    return [word for name, value in options if value is not None for word in (name, value)]


def _before(older_than: str | None) -> datetime | None:
    if older_than is None:
        return None
    try:
        return SystemClock().now() - parse_duration(older_than, option="--older-than")
    except OverflowError as error:
        raise SettingsError("--older-than is too long ago", setting="--older-than") from error


def _read_ids(name: str) -> list[str]:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        lines = data.decode("utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise InputNotFound(f"{printable(name)} not found", path=name) from error
    except OSError as error:
        raise InputUnreadable(f"{printable(name)} cannot be read: {error.strerror}", path=name) from error
    except UnicodeDecodeError as error:
        raise InputUnreadable(f"{printable(name)}: not UTF-8 text", path=name) from error
    return [id_of_printed(line.strip()) for line in lines if line.strip()]
