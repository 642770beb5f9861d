"""The options that select conversations, shared by all commands."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.durations import parse_duration
from backstay.cli.review_options import ReviewConditionOptions
from backstay.cli.text import printable
from backstay.cli.text_file import read_text
from backstay.clock import SystemClock
from backstay.errors import EmptySelection, SettingsError
from backstay.library.id_text import parse_printed_id, printed_id

if TYPE_CHECKING:
    from backstay.app import Backstay
    from backstay.library.selection import Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionOptions:
    """The conditions that a selected conversation meets."""

    job: Annotated[
        str | None, typer.Option(metavar="J", help="Only conversations of this job.", parser=parse_printed_id)
    ] = None
    search: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only those that contain TEXT in topic, persona or a turn, ignoring case."),
    ] = None
    persona: Annotated[str | None, typer.Option(metavar="P", help="Only those with exactly this persona.")] = None
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Only those created longer ago than AGE, such as 12h, 30d or 2w.")
    ] = None
    edited: Annotated[bool, typer.Option("--edited", help="Only those that were edited.")] = False
    review: ReviewConditionOptions

    def selection(self, ids: Iterable[str] = (), *, everything: bool = False) -> "Selection":
        """Return the selection of these conditions, which may be empty. Raises SettingsError."""
        from backstay.library.selection import Selection

        if self.search == "":
            raise SettingsError("--search is empty; select all conversations with --all", setting="search")
        return Selection(
            tuple(dict.fromkeys(ids)),
            self.job,
            everything,
            search=self.search,
            persona=self.persona,
            created_before=_created_before(self.older_than),
            **self.review.as_conditions(),
            edited=self.edited,
        )

    def as_words(self) -> list[str]:
        """Return the options as words of a command line."""
        options = (
            ("--job", self.job and printed_id(self.job)),
            ("--search", self.search),
            ("--persona", self.persona),
            ("--older-than", self.older_than),
        )
        words = [word for name, value in options if value is not None for word in (name, value)]
        words += ["--edited"] if self.edited else []
        return [*words, *self.review.as_words()]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionOptions:
    """The options that select conversations: by ids, by conditions, or all."""

    ids: Annotated[
        list[str] | None, typer.Argument(metavar="IDS", help="Ids of conversations.", parser=parse_printed_id)
    ] = None
    ids_file: Annotated[
        str | None,
        typer.Option(metavar="F", help="File with one id per line; - for standard input. Text after a tab is ignored."),
    ] = None
    conditions: ConditionOptions
    everything: Annotated[bool, typer.Option("--all", help="Select all conversations.")] = False

    def selection(self) -> "Selection":
        """Return the selection of these options, which may be empty. Reads standard input for `-`.

        Raises:
            SettingsError: the options contradict each other, or one is wrong.
            EmptySelection: the file of ids is empty.
            InputError: the file of ids cannot be read.
        """
        file_ids = _read_ids(self.ids_file) if self.ids_file is not None else []
        selection = self.conditions.selection([*(self.ids or ()), *file_ids], everything=self.everything)
        if self.everything and selection.is_narrowed:
            raise SettingsError("--all cannot be combined with ids or conditions", setting="all")
        return selection


async def refuse_unknown_job(backstay: "Backstay", selection: "Selection") -> None:
    """Raise JobNotFound if the selection names a job that does not exist."""
    if selection.job_id is not None:
        await backstay.batches.checkpoint(selection.job_id)


def _created_before(older_than: str | None) -> datetime | None:
    if older_than is None:
        return None
    try:
        return SystemClock().now() - parse_duration(older_than, option="--older-than")
    except OverflowError as error:
        raise SettingsError("--older-than is too long ago", setting="--older-than") from error


def _read_ids(name: str) -> list[str]:
    ids = [parse_printed_id(line.partition("\t")[0].strip()) for line in read_text(name).splitlines() if line.strip()]
    if not ids:
        raise EmptySelection(f"{printable(name)} names no conversations", path=name)
    return ids
