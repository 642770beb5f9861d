"""`backstay conversations keep`, `reject`, `rate`, `tag` and `note`: judge conversations."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.options import Yes
from backstay.cli.progress import review_progress_view
from backstay.cli.selection_options import SelectionOptions, refuse_unknown
from backstay.cli.text import format_count
from backstay.errors import SettingsError
from backstay.limits import MAX_RATING, MIN_RATING

if TYPE_CHECKING:
    from backstay.library.review_change import ReviewChange

_INTERRUPTED = "Interrupted; the same command continues."
_NO_RATING = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewOptions:
    """The conversations that a command reviews, and who does."""

    selection: SelectionOptions
    reviewer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Who reviews [default: BACKSTAY_REVIEWER, else the user of this machine]."),
    ] = None
    yes: Yes = False


Undo = Annotated[bool, typer.Option("--undo", help="Make them unreviewed again.")]


@command(when_interrupted=_INTERRUPTED)
async def keep(session: CommandSession, *, options: ReviewOptions, undo: Undo = False) -> None:
    """Keep conversations: select the good ones, for instance to export them with --kept.

    \b
    Examples:
      backstay conversations keep 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b
      backstay conversations keep --rating-from 4
      backstay conversations keep --job topics --kept --undo
    """
    await _review_status(session, options, "kept", undo=undo)


@command(when_interrupted=_INTERRUPTED)
async def reject(session: CommandSession, *, options: ReviewOptions, undo: Undo = False) -> None:
    """Reject conversations. They stay in the library until you delete them.

    \b
    Examples:
      backstay conversations reject 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b
      backstay conversations reject --search "as an AI"
      backstay conversations delete --rejected
    """
    await _review_status(session, options, "rejected", undo=undo)


@command(when_interrupted=_INTERRUPTED)
async def rate(
    session: CommandSession,
    rating: Annotated[
        str, typer.Argument(metavar="RATING", help=f"From {MIN_RATING} to {MAX_RATING}, or none to remove it.")
    ],
    *,
    options: ReviewOptions,
) -> None:
    """Rate conversations from 1 to 5.

    \b
    Examples:
      backstay conversations rate 4 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b
      backstay conversations rate 1 --search "I cannot help"
      backstay conversations rate none --job topics
    """
    from backstay.library.review_change import ReviewChange

    number = _parse_rating(rating)
    what = f"rated {number}" if number is not None else "cleared of ratings"
    await _review(session, options, ReviewChange(rating=number), what)


@command(when_interrupted=_INTERRUPTED)
async def tag(
    session: CommandSession,
    *,
    add: Annotated[list[str] | None, typer.Option(metavar="T", help="Tag to add; may be repeated.")] = None,
    remove: Annotated[list[str] | None, typer.Option(metavar="T", help="Tag to remove; may be repeated.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove all other tags.")] = False,
    options: ReviewOptions,
) -> None:
    """Add tags to conversations, and remove tags. --tag selects conversations that have one already.

    \b
    Examples:
      backstay conversations tag --add good --remove draft 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b
      backstay conversations tag --add short --search "Yes."
      backstay conversations tag --remove draft --tag draft
    """
    from backstay.library.review_change import ReviewChange

    if not (add or remove or clear):
        raise SettingsError("Name a tag with --add or --remove, or remove all with --clear", setting="tags")
    change = ReviewChange(tags=() if clear else None, add_tags=tuple(add or ()), remove_tags=tuple(remove or ()))
    await _review(session, options, change, "tagged" if add else "cleared of tags" if clear else "untagged")


@command(when_interrupted=_INTERRUPTED)
async def note(
    session: CommandSession,
    text: Annotated[str, typer.Argument(metavar="TEXT", help='The note; "" removes it.')],
    *,
    options: ReviewOptions,
) -> None:
    """Write a note about conversations. It replaces an earlier one.

    \b
    Examples:
      backstay conversations note "Names the wrong city" 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b
      backstay conversations note "" --job topics
    """
    from backstay.library.review_change import ReviewChange

    await _review(session, options, ReviewChange(note=text), "given this note" if text else "cleared of notes")


async def _review_status(session: CommandSession, options: ReviewOptions, name: str, *, undo: bool) -> None:
    from backstay.library.review import ReviewStatus
    from backstay.library.review_change import ReviewChange

    status = ReviewStatus.UNREVIEWED if undo else ReviewStatus(name)
    await _review(session, options, ReviewChange(status), "marked as unreviewed" if undo else name)


async def _review(session: CommandSession, options: ReviewOptions, change: "ReviewChange", what: str) -> None:
    """Change the reviews of the selected conversations; `what` says in the past what is done to them."""
    selection = options.selection.selection().check()
    backstay = await session.open()
    if selection.everything and not options.yes:
        count = format_count(await backstay.conversations.count(selection), "conversation")
        await session.confirm(f"All {count} will be {what}. Continue")
        backstay = await session.open()
    with review_progress_view(session.out) as view:
        result = await backstay.reviews.change(selection, change, reviewer=options.reviewer, on_progress=view)
    if not result.conversations:
        await refuse_unknown(backstay, selection)
    line = f"{format_count(result.changed, 'conversation')} {what}"
    if result.unchanged:
        line += f", {result.unchanged:,} needed no change"
    session.out.print_result(
        lambda: schemas.ReviewChangeOut.from_result(result),
        f"{line}." if result.conversations else "No matching conversations.",
    )
    await session.remind()


def _parse_rating(text: str) -> int | None:
    if text == _NO_RATING:
        return None
    if text not in map(str, range(MIN_RATING, MAX_RATING + 1)):
        raise SettingsError(
            f"The rating {text!r} is not a whole number from {MIN_RATING} to {MAX_RATING}, nor {_NO_RATING}",
            setting="rating",
        )
    return int(text)
