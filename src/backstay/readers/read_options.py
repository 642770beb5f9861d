"""What a user says about an input that its content does not show."""

import codecs
from dataclasses import dataclass

from backstay.errors import SettingsError
from backstay.suggestions import did_you_mean

_DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read an input. Each option that is None is detected.

    Raises SettingsError for an unknown encoding, and for a delimiter that cannot separate cells.
    """

    encoding: str | None = None
    """The encoding of the text, by any of the names that Python has for it. A byte order mark overrides it."""
    delimiter: str | None = None
    """The character between the cells of CSV and TSV, or its name: `tab`, `comma`, `semicolon` or `pipe`."""

    def __post_init__(self) -> None:
        if self.encoding is not None:
            _check_encoding(self.encoding)
        if self.delimiter is not None:
            object.__setattr__(self, "delimiter", _parse_delimiter(self.delimiter))


def _check_encoding(name: str) -> None:
    try:
        # Other codecs, such as `zip`, decode bytes to bytes.
        if codecs.lookup(name)._is_text_encoding and codecs.getincrementaldecoder(name):
            return
    except (LookupError, ValueError):
        pass
    from encodings.aliases import aliases

    suggestion = did_you_mean(name, {*aliases.values(), *aliases} - {name})
    raise SettingsError(f"Unknown encoding {name[:40]!r}{suggestion}", setting="encoding")


def _parse_delimiter(name: str) -> str:
    delimiter = _DELIMITERS.get(name.lower(), name)
    if len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise SettingsError(
            f"The delimiter is one character, or one of {', '.join(_DELIMITERS)}, not {name[:40]!r}",
            setting="delimiter",
        )
    return delimiter


AS_DETECTED = ReadOptions()
