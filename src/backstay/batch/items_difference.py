"""The comparison of an input's items with those of an existing job."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ItemsDifference:
    """The differences between the items of an input and those of the existing job."""

    new: int = 0
    missing: int = 0
    changed: int = 0
    examples: tuple[str, ...] = ()
    """Such as `new: a in line 3` or `missing: b`. If items are missing, at least one example is of a missing one."""

    @property
    def is_empty(self) -> bool:
        return not (self.new or self.missing or self.changed)

    def __str__(self) -> str:
        counts = {"new": self.new, "missing": self.missing, "changed": self.changed}
        text = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
        examples = f" ({'; '.join(self.examples)})" if self.examples else ""
        return text + examples
