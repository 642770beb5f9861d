"""How much may come of one file, however few bytes it has."""

from dataclasses import dataclass

from backstay.errors import InputTooLarge


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most rows, and bytes of their text once expanded, that may come of one file."""

    rows: int
    text_bytes: int

    def check(self, path: str, *, rows: int, text_bytes: int, what: str) -> None:
        """Raise InputTooLarge when more has come of the file than may; `what` says what its rows are."""
        for found, most, of in ((rows, self.rows, what), (text_bytes, self.text_bytes, "bytes of text")):
            if found > most:
                raise InputTooLarge(
                    f"{path} holds more than {most:,} {of}; split it, or bring it in with `backstay run` or `backstay "
                    "conversations import`, which have no limit",
                    path=path,
                    limit=most,
                )
