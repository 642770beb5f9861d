"""Limits of the decompressed content of one file."""

from dataclasses import dataclass

from backstay.errors import InputTooLarge


@dataclass(frozen=True, slots=True)
class InputCeiling:
    """The maximum number of rows, and of bytes of decompressed text, in one file."""

    rows: int
    text_bytes: int

    def check(self, path: str, *, rows: int, text_bytes: int, row_noun: str) -> None:
        """Raise InputTooLarge if the file exceeds a limit; `row_noun` names its rows."""
        for count, limit, unit in ((rows, self.rows, row_noun), (text_bytes, self.text_bytes, "bytes of text")):
            if count > limit:
                raise InputTooLarge(f"{path} holds more than {limit:,} {unit}", path=path, limit=limit)
