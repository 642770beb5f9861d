"""`backstay conversations edit`, `history`, `diff` and `revert`: correct conversations."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.output import is_terminal
from backstay.cli.text import format_time, printable
from backstay.cli.text_file import read_text
from backstay.errors import BackstayError, ConversationChanged, InputUnreadable, SettingsError
from backstay.library.id_text import parse_printed_id, printed_id, quoted_id

if TYPE_CHECKING:
    from backstay.app import Backstay
    from backstay.cli.editor import EditedFile
    from backstay.library.conversation import Conversation
    from backstay.library.edit_plan import Edit
    from backstay.library.edits import Version
    from backstay.library.turn import Turn

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the conversation.", parser=parse_printed_id)]
ReviewerOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Who edits [default: BACKSTAY_REVIEWER, else your user name]."),
]
_NUMBER = typer.Option(metavar="N", min=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EditOptions:
    """What to edit without an editor. Turns are numbered as `conversations show --json` numbers them."""

    turn: Annotated[int | None, typer.Option(metavar="N", min=1, help="Change turn N, with --text or --role.")] = None
    add_turn: Annotated[str | None, typer.Option(metavar="ROLE", help="Add a turn, with --text and --at.")] = None
    remove_turn: Annotated[
        list[int] | None, typer.Option(metavar="N", min=1, help="Remove turn N; may be repeated.")
    ] = None
    move_turn: Annotated[int | None, typer.Option(metavar="N", min=1, help="Move turn N, with --at.")] = None
    at: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Number that the turn gets [default of --add-turn: the last]."),
    ] = None
    text: Annotated[str | None, typer.Option(metavar="T", help="Text of the turn.")] = None
    text_file: Annotated[str | None, typer.Option(metavar="F", help="File with the text; - for standard input.")] = None
    role: Annotated[str | None, typer.Option(metavar="ROLE", help="New role of the turn.")] = None
    topic: Annotated[str | None, typer.Option(metavar="T", help="New topic; an empty one removes it.")] = None
    persona: Annotated[str | None, typer.Option(metavar="P", help="New persona; an empty one removes it.")] = None
    from_file: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="File with the whole conversation, as `show --json` prints it or as a failed edit left it; "
            "- for standard input.",
        ),
    ] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="With --from-file: replace a newer version, which the history keeps.")
    ] = False

    @property
    def are_empty(self) -> bool:
        """Whether none is given, so that the editor opens."""
        return self == EditOptions()

    def check(self) -> None:
        """Check that the options fit together. Raises SettingsError."""
        actions = {"--turn": self.turn, "--add-turn": self.add_turn, "--move-turn": self.move_turn}
        used = [name for name, value in actions.items() if value is not None]
        if len(used) > 1:
            raise SettingsError(f"{' and '.join(used)} exclude each other; edit one turn at a time", setting=used[1])
        if self.overwrite and self.from_file is None:
            raise SettingsError("--overwrite needs --from-file", setting="overwrite")
        if self.from_file is not None and self != EditOptions(from_file=self.from_file, overwrite=self.overwrite):
            raise SettingsError(
                "--from-file has the whole conversation; leave the other options out", setting="from_file"
            )
        if self.text is not None and self.text_file is not None:
            raise SettingsError("--text and --text-file exclude each other", setting="text")
        has_text = self.text is not None or self.text_file is not None
        if self.turn is not None and not has_text and self.role is None:
            raise SettingsError("--turn needs --text, --text-file or --role", setting="turn")
        if self.add_turn is not None and not has_text:
            raise SettingsError("--add-turn needs --text or --text-file", setting="add_turn")
        if self.move_turn is not None and self.at is None:
            raise SettingsError("--move-turn needs --at", setting="move_turn")
        for name, is_given, needed in (
            ("--text", has_text, self.turn is not None or self.add_turn is not None),
            ("--role", self.role is not None, self.turn is not None),
            ("--at", self.at is not None, self.add_turn is not None or self.move_turn is not None),
        ):
            if is_given and not needed:
                raise SettingsError(f"{name} needs --turn N or --add-turn ROLE", setting=name)

    def edited_turns(self, turns: "Sequence[Turn]") -> "list[Turn]":
        """Return the turns after the edit. Raises SettingsError if there is no turn of a number."""
        from backstay.library.turn import Turn

        for option, number in (("--turn", self.turn), ("--move-turn", self.move_turn)):
            _check_number(option, number, len(turns))
        for number in self.remove_turn or ():
            _check_number("--remove-turn", number, len(turns))
        edited: list[Turn | None] = list(turns)
        text = read_text(self.text_file) if self.text_file is not None else self.text
        if self.turn is not None:
            turn = turns[self.turn - 1]
            content = turn.content if text is None else text
            edited[self.turn - 1] = replace(turn, content=content, role=self.role or turn.role)
        for number in self.remove_turn or ():
            edited[number - 1] = None
        moved = turns[self.move_turn - 1] if self.move_turn is not None else None
        if self.move_turn is not None:
            edited[self.move_turn - 1] = None
        remaining = [turn for turn in edited if turn is not None]
        if self.add_turn is not None and text is not None:
            moved = Turn(self.add_turn, text)
        if moved is not None:
            place = len(remaining) + 1 if self.at is None else self.at
            _check_number("--at", place, len(remaining) + 1)
            remaining.insert(place - 1, moved)
        return remaining


@command()
async def edit(
    session: CommandSession, conversation: IdArgument, options: EditOptions, reviewer: ReviewerOption = None
) -> None:
    """Edit a conversation in your editor (VISUAL, EDITOR or vi), or with options. Each version is kept.

    In the editor, a mistake opens the file again and names the line. If the conversation was changed meanwhile,
    nothing is stored, and the file with what you typed stays.

    \b
    Examples:
      backstay conversations edit 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b
      backstay conversations edit 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b --turn 2 --text "Better."
      backstay conversations edit 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b --remove-turn 3 --remove-turn 4
      backstay conversations edit 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b --add-turn system --at 1 --text-file rules.txt
      backstay conversations edit 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b --from-file edited.json
    """
    options.check()
    backstay = await session.open()
    before = await backstay.conversations.show(conversation)
    if options.are_empty:
        await _edit_in_editor(session, before, reviewer)
    else:
        edit, expected = await _edit_of(backstay, options, before)
        await _store(session, before, edit, before.digest() if options.overwrite else expected, reviewer)
    await session.remind()


@command()
async def history(session: CommandSession, conversation: IdArgument) -> None:
    """List the versions of a conversation, the current one last.

    In a pipe: one version per line, tabs between number, time, editor and `current`.

    \b
    Example:
      backstay conversations history 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b
    """
    backstay = await session.open()
    versions = await backstay.edits.versions(conversation)
    if session.out.as_json:
        session.out.print_json(schemas.VersionsOut.from_versions(versions))
    else:
        rows = [
            (
                version.number,
                "first stored" if version.created_at is None else format_time(version.created_at),
                version.editor or "",
                "; ".join(_notes(version)),
            )
            for version in versions
        ]
        session.out.table(("VERSION", "EDITED", "BY", ""), rows, unbroken=("EDITED",))
    await session.remind()


@command()
async def diff(
    session: CommandSession,
    conversation: IdArgument,
    before: Annotated[int | None, typer.Option("--from", metavar="N", min=1, help="Earlier version.")] = None,
    after: Annotated[
        int | None, typer.Option("--to", metavar="M", min=1, help="Later version [default: the current one].")
    ] = None,
) -> None:
    """Show what an edit changed: by default the last one.

    On a terminal, removed words are red and added ones green. Elsewhere they are in [-…-] and {+…+}.

    \b
    Examples:
      backstay conversations diff 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b
      backstay conversations diff 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b --from 1
    """
    from backstay.cli.difference import format_difference

    backstay = await session.open()
    versions = await backstay.edits.compare(conversation, before=before, after=after)
    session.out.print_result(lambda: schemas.DifferenceOut.from_versions(versions), *format_difference(versions))
    await session.remind()


@command()
async def revert(
    session: CommandSession,
    conversation: IdArgument,
    to: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Version to bring back [default: the one before].")
    ] = None,
    reviewer: ReviewerOption = None,
) -> None:
    """Bring back an earlier version of a conversation. This is an edit too, so it can be reverted itself.

    \b
    Examples:
      backstay conversations revert 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b
      backstay conversations revert 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b --to 1
    """
    backstay = await session.open()
    before = await backstay.conversations.show(conversation)
    after = await backstay.edits.revert(conversation, to=to, expected=before.digest(), editor=reviewer)
    await _report(session, before, after)
    await session.remind()


async def _edit_of(backstay: "Backstay", options: EditOptions, before: "Conversation") -> "tuple[Edit, str]":
    """Return the edit of the options, and the digest of the conversation that it was made from."""
    from backstay.cli.conversation_file import read_edit
    from backstay.cli.edit_form import digest_in_form, parse_form
    from backstay.library.edit_plan import Edit

    if options.from_file is not None:
        text = read_text(options.from_file)
        expected = digest_in_form(text)
        if expected is not None:
            base = await _find_version(backstay, before, expected)
            try:
                return parse_form(text, base), expected
            except InputUnreadable as error:
                message = f"{printable(options.from_file)}: {error.message}"
                raise error.with_message(message, **error.context, path=options.from_file) from error
        edit, expected = read_edit(options.from_file, text)
        return edit, expected or before.digest()
    topic = ... if options.topic is None else options.topic or None
    persona = ... if options.persona is None else options.persona or None
    return Edit(turns=options.edited_turns(before.turns), topic=topic, persona=persona), before.digest()


async def _find_version(backstay: "Backstay", current: "Conversation", digest: str) -> "Conversation":
    """Return the version with a digest; the current one if another program has changed it without keeping it."""
    if digest != current.digest():
        for version in await backstay.edits.versions(current.id or ""):
            earlier = await backstay.edits.version(current.id or "", version.number)
            if earlier.digest() == digest:
                return earlier
    return current


async def _store(
    session: CommandSession, before: "Conversation", edit: "Edit", expected: str, editor: str | None
) -> None:
    backstay = await session.open()
    after = await backstay.edits.edit(
        before.id or "", turns=edit.turns, topic=edit.topic, persona=edit.persona, expected=expected, editor=editor
    )
    await _report(session, before, after)


async def _report(session: CommandSession, before: "Conversation", after: "Conversation") -> None:
    """Print the edited conversation as JSON, or say what was stored, and how to take it back."""
    if session.out.as_json:
        session.out.print_json(schemas.ConversationOut.from_conversation(after))
        return
    subject = f"conversation {quoted_id(after.id or '')}"
    if after == before:
        session.out.line(f"Nothing changed in {subject}.")
        return
    backstay = await session.open()
    number = (await backstay.edits.versions(after.id or ""))[-1].number
    session.out.line(f"Stored version {number} of {subject}.")
    session.out.note(f"Undo: {session.invocation.command('conversations', 'revert', printed_id(after.id or ''))}")


async def _edit_in_editor(session: CommandSession, before: "Conversation", editor: str | None) -> None:
    from backstay.cli.edit_form import to_form
    from backstay.cli.editor import EditedFile, editor_command

    words, original = editor_command(), to_form(before)
    await session.close()
    file = EditedFile(original, suffix=".txt")
    command = partial(session.invocation.command, "conversations", "edit", printed_id(before.id or ""), "--from-file")
    with _kept_on_error(file, original, command):
        edit = _edit_until_valid(file, words, before)
        if edit is None:
            session.out.print_result(
                lambda: schemas.ConversationOut.from_conversation(before), "Nothing changed, so nothing was stored."
            )
        else:
            await _store(session, before, edit, before.digest(), editor)
    file.remove()


def _edit_until_valid(file: "EditedFile", words: list[str], before: "Conversation") -> "Edit | None":
    """Open the editor until the file can be stored; return None if nothing is to be stored.

    Raises InputUnreadable: the file has a mistake, and was not changed when it was opened again; or there is no
    terminal to open it on again.
    """
    from backstay.cli.edit_form import parse_form, to_form, with_error

    shown = to_form(before)
    while True:
        file.edit(words)
        text = file.read()
        if not text.strip() or text == to_form(before):
            return None
        try:
            return parse_form(text, before)
        except InputUnreadable as error:
            if text == shown or not is_terminal(0):
                raise
            shown = with_error(text, error)
            file.write(shown)


@contextmanager
def _kept_on_error(file: "EditedFile", original: str, command: Callable[..., str]) -> Iterator[None]:
    """Keep what was typed if it could not be stored, and name its file in the error; else remove the file.

    The error also names the `command` that stores it, which takes the file and options.
    """
    try:
        yield
    except BackstayError as error:
        if not _is_typed(file, original):
            file.remove()
            raise
        is_outdated = isinstance(error, ConversationChanged)
        how = "replace the newer version" if is_outdated else "correct it, then store it"
        message = (
            f"{error.message}; what you typed is in {printable(file.path)}; {how} with: "
            f"{command(str(file.path), *(['--overwrite'] if is_outdated else []))}"
        )
        raise error.with_message(message, **{**error.context, "path": str(file.path)}) from error


def _is_typed(file: "EditedFile", original: str) -> bool:
    try:
        return file.path.read_bytes() not in (original.encode(), b"")
    except OSError:
        return False


def _notes(version: "Version") -> list[str]:
    reverted = [f"reverted to version {version.same_as}"] if version.same_as is not None else []
    return [*reverted, *(["current"] if version.is_current else [])]


def _check_number(option: str, number: int | None, count: int) -> None:
    if number is not None and number > count:
        raise SettingsError(f"{option} {number} is too high: the last turn is {count}", setting=option)
