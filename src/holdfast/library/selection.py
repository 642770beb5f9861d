"""Which conversations: one object, said once, used by whatever reads many of them."""

from dataclasses import dataclass

from holdfast.errors import EmptySelection


@dataclass(frozen=True, slots=True)
class Selection:
    """Conversations of one owner that meet every condition given; `everything` must be said to mean all."""

    ids: tuple[str, ...] = ()
    job_id: str | None = None
    everything: bool = False

    def check(self) -> "Selection":
        """Return itself.

        Raises:
            EmptySelection: no condition was given, and "all" was not said.
        """
        if not (self.ids or self.job_id is not None or self.everything):
            raise EmptySelection("Nothing is selected; give ids or a job, or say all")
        return self
