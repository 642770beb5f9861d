"""Limits of the content of one file, however small the file is."""

from dataclasses import dataclass

from backstay.errors import InputTooLarge


@dataclass(frozen=True, slots=True)
class InputCeiling:
    """The maximum rows, and bytes of their decompressed text, of one file."""

    rows: int
    text_bytes: int

    def check(self, path: str, *, rows: int, text_bytes: int, what: str) -> None:
        """Raise InputTooLarge if the file holds more; `what` names its rows."""
        for found, most, of in ((rows, self.rows, what), (text_bytes, self.text_bytes, "bytes of text")):
            if found > most:
                raise InputTooLarge(
                    f"{path} holds more than {most:,} {of}; split it, or import it with `backstay run` or `backstay "
                    "conversations import`, which have no limit",
                    path=path,
                    limit=most,
                )
