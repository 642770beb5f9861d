"""What was noticed while an input was read, such as an unusual delimiter."""

from collections.abc import Callable

NoteListener = Callable[[str], object]


class InputNotes:
    """The facts about one input, which may be several files. A fact is reported once, with the first file."""

    def __init__(self, listener: NoteListener | None = None) -> None:
        self._listener = listener
        self._facts: set[str] = set()

    def add(self, path: str, fact: str) -> None:
        """Report a fact about a file, unless it was reported already."""
        if self._listener is not None and fact not in self._facts:
            self._facts.add(fact)
            self._listener(f"{path}: {fact}.")
