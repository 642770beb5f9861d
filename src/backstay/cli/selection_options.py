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
from backstay.limits import MAX_INTEGER

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
    topic_contains: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only those whose topic contains TEXT, ignoring case.")
    ] = None
    persona: Annotated[str | None, typer.Option(metavar="P", help="Only those with exactly this persona.")] = None
    persona_contains: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only those whose persona contains TEXT, ignoring case.")
    ] = None
    made_with: Annotated[
        str | None, typer.Option(metavar="M", help="Only those made with this model, such as openai:gpt-4o-mini.")
    ] = None
    min_turns: Annotated[
        int | None, typer.Option(metavar="N", min=0, max=MAX_INTEGER, help="Only those with N turns or more.")
    ] = None
    max_turns: Annotated[
        int | None, typer.Option(metavar="N", min=0, max=MAX_INTEGER, help="Only those with N turns or fewer.")
    ] = None
    min_characters: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, max=MAX_INTEGER, help="Only those whose turns have N characters or more."),
    ] = None
    max_characters: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, max=MAX_INTEGER, help="Only those whose turns have N characters or fewer."),
    ] = None
    has_tools: Annotated[
        bool | None,
        typer.Option(
            "--with-tools/--without-tools", help="Only those with, or without, definitions or calls of tools."
        ),
    ] = None
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Only those created longer ago than AGE, such as 12h, 30d or 2w.")
    ] = None
    newer_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Only those created within AGE, such as 12h, 30d or 2w.")
    ] = None
    import_id: Annotated[
        str | None,
        typer.Option("--import", metavar="ID", help="Only those that this import stored.", parser=parse_printed_id),
    ] = None
    last_import: Annotated[bool, typer.Option("--last-import", help="Only those that the last import stored.")] = False
    edited: Annotated[bool, typer.Option("--edited", help="Only those that were edited.")] = False
    review: ReviewConditionOptions

    def selection(self, ids: Iterable[str] = (), *, everything: bool = False) -> "Selection":
        """Return the selection of these conditions, which may be empty. Raises SettingsError."""
        from backstay.library.selection import LAST_IMPORT, Selection

        if self.search == "":
            raise SettingsError("--search is empty; select all conversations with --all", setting="search")
        if self.last_import and self.import_id is not None:
            raise SettingsError("--last-import and --import cannot be combined", setting="import")
        return Selection(
            tuple(dict.fromkeys(ids)),
            self.job,
            everything,
            search=self.search,
            persona=self.persona,
            created_before=_moment(self.older_than, "--older-than"),
            created_after=_moment(self.newer_than, "--newer-than"),
            topic_contains=self.topic_contains,
            persona_contains=self.persona_contains,
            model=self.made_with,
            min_turns=self.min_turns,
            max_turns=self.max_turns,
            min_characters=self.min_characters,
            max_characters=self.max_characters,
            has_tools=self.has_tools,
            import_id=LAST_IMPORT if self.last_import else self.import_id,
            **self.review.as_conditions(),
            edited=self.edited,
        )

    def as_words(self) -> list[str]:
        """Return the options as words of a command line."""
        options = (
            ("--job", self.job and printed_id(self.job)),
            ("--search", self.search),
            ("--topic-contains", self.topic_contains),
            ("--persona", self.persona),
            ("--persona-contains", self.persona_contains),
            ("--made-with", self.made_with),
            ("--min-turns", self.min_turns),
            ("--max-turns", self.max_turns),
            ("--min-characters", self.min_characters),
            ("--max-characters", self.max_characters),
            ("--older-than", self.older_than),
            ("--newer-than", self.newer_than),
            ("--import", self.import_id and printed_id(self.import_id)),
        )
        flags = (
            ("--with-tools", self.has_tools is True),
            ("--without-tools", self.has_tools is False),
            ("--last-import", self.last_import),
            ("--edited", self.edited),
        )
        words = [word for name, value in options if value is not None for word in (name, str(value))]
        return [*words, *(name for name, is_set in flags if is_set), *self.review.as_words()]


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


async def refuse_unknown(backstay: "Backstay", selection: "Selection") -> None:
    """Raise JobNotFound or ImportNotFound if the selection names a job or an import that does not exist."""
    if selection.job_id is not None:
        await backstay.batches.checkpoint(selection.job_id)
    await refuse_unknown_import(backstay, selection)


async def refuse_unknown_import(backstay: "Backstay", selection: "Selection") -> None:
    """Raise ImportNotFound if the selection names an import that does not exist."""
    if selection.import_id is not None:
        await backstay.conversations.lists.check_import(selection.import_id)


def _moment(age: str | None, option: str) -> datetime | None:
    if age is None:
        return None
    try:
        return SystemClock().now() - parse_duration(age, option=option)
    except OverflowError as error:
        raise SettingsError(f"{option} is too long ago", setting=option) from error


def _read_ids(name: str) -> list[str]:
    ids = [parse_printed_id(line.partition("\t")[0].strip()) for line in read_text(name).splitlines() if line.strip()]
    if not ids:
        raise EmptySelection(f"{printable(name)} names no conversations", path=name)
    return ids
