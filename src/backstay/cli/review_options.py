"""The options that select conversations by their reviews."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstay.errors import SettingsError
from backstay.limits import MAX_RATING, MIN_RATING

if TYPE_CHECKING:
    from backstay.library.review import ReviewStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewConditionOptions:
    """The conditions that the review of a selected conversation meets."""

    unreviewed: Annotated[bool, typer.Option("--unreviewed", help="Only those neither kept nor rejected.")] = False
    kept: Annotated[bool, typer.Option("--kept", help="Only those that were kept.")] = False
    rejected: Annotated[bool, typer.Option("--rejected", help="Only those that were rejected.")] = False
    rating_below: Annotated[
        int | None,
        typer.Option(metavar="N", min=MIN_RATING + 1, max=MAX_RATING, help="Only those rated lower than N."),
    ] = None
    rating_from: Annotated[
        int | None,
        typer.Option(metavar="N", min=MIN_RATING, max=MAX_RATING, help="Only those rated N or higher."),
    ] = None
    unrated: Annotated[bool, typer.Option("--unrated", help="Only those without a rating.")] = False
    reviewed_by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only those whose review this reviewer changed last.")
    ] = None
    note_contains: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only those whose note contains this; case-insensitive.")
    ] = None
    tag: Annotated[
        list[str] | None, typer.Option(metavar="T", help="Only those with this tag; repeated: with all of them.")
    ] = None
    untagged: Annotated[bool, typer.Option("--untagged", help="Only those without tags.")] = False

    def as_conditions(self) -> dict[str, Any]:
        """Return the conditions as arguments of a selection. Raises SettingsError if they contradict each other."""
        return {
            "status": self._status(),
            "rating_below": self.rating_below,
            "rating_from": self.rating_from,
            "unrated": self.unrated,
            "reviewed_by": self.reviewed_by,
            "note_contains": self.note_contains,
            "tags": tuple(dict.fromkeys(self.tag or ())),
            "untagged": self.untagged,
        }

    def as_words(self) -> list[str]:
        """Return the options as words of a command line."""
        flags = ("unreviewed", "kept", "rejected", "unrated", "untagged")
        values = (
            ("--rating-below", self.rating_below),
            ("--rating-from", self.rating_from),
            ("--reviewed-by", self.reviewed_by),
            ("--note-contains", self.note_contains),
        )
        return [
            *(f"--{name}" for name in flags if getattr(self, name)),
            *(f"{name}={value}" for name, value in values if value is not None),
            *(f"--tag={tag}" for tag in self.tag or ()),
        ]

    def _status(self) -> "ReviewStatus | None":
        from backstay.library.review import ReviewStatus

        chosen = [status for status in ReviewStatus if getattr(self, status)]
        if len(chosen) > 1:
            first, second, *_ = chosen
            raise SettingsError(f"No conversation is both {first} and {second}; choose one", setting=str(second))
        return chosen[0] if chosen else None
