"""The split of an export into sides, such as `train` and `test`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from itertools import accumulate
from typing import Self

from backstay.errors import SettingsError
from backstay.library.conversation import Conversation

_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")  # safe as the name of a file everywhere, and of a split of a dataset
_FRACTION = re.compile(r"(\d{1,20}(\.\d{0,20})?|\.\d{1,20})(e-\d{1,2})?|\d{1,9}/\d{1,9}")
_TOLERANCE = Fraction(1, 1_000_000)  # thirds as decimal numbers do not sum to 1
_HASHES = 1 << 64


@dataclass(frozen=True, slots=True)
class Split:
    """The sides of a split, each with its upper bound of hashes, and the seed of the hashes.

    The side of a conversation depends on the split, the seed and the conversation's id alone, so that it does not
    change when the library grows.
    """

    bounds: tuple[tuple[str, int], ...]
    seed: int = 0

    @classmethod
    def from_text(cls, text: str, seed: int = 0) -> Self:
        """Return the split of a text like `train=0.95,test=0.05`. Raises SettingsError."""
        fractions: dict[str, str] = {}
        for entry in text.split(","):
            name, is_separated, fraction = (part.strip() for part in entry.partition("="))
            if not is_separated:
                raise _error(f"{entry.strip()!r} in the split is not NAME=FRACTION, as in train=0.95,test=0.05")
            if name in fractions:
                raise _error(f"The split has {name!r} twice")
            fractions[name] = fraction
        return cls.from_fractions(fractions, seed)

    @classmethod
    def from_fractions(cls, fractions: Mapping[str, float | str], seed: int = 0) -> Self:
        """Return the split with these sides, each with its fraction of all conversations. Raises SettingsError."""
        if len({name.casefold() for name in fractions}) < len(fractions):
            raise _error("Two names in the split differ only in case, as would their files")
        exact = {_checked_name(name): _to_fraction(name, fraction) for name, fraction in fractions.items()}
        total = sum(exact.values(), Fraction())
        if abs(total - 1) > _TOLERANCE:
            raise _error(f"The fractions of the split sum to {float(total):g}; they must sum to 1")
        bounds = [int(bound * _HASHES) for bound in accumulate(exact.values())]
        return cls(tuple(zip(exact, [*bounds[:-1], _HASHES], strict=True)), seed)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.bounds)

    def side_of(self, conversation: Conversation) -> str:
        """Return the name of a conversation's side, which is the same for both conversations of a preference pair."""
        digest = sha256(f"{self.seed}\n{_key(conversation)}".encode()).digest()
        position = int.from_bytes(digest[:8], "big")
        return next(name for name, bound in self.bounds if position < bound)


def _key(conversation: Conversation) -> str:
    pair = conversation.metadata.get("preference_pair")
    is_paired = isinstance(pair, str) and conversation.metadata.get("preference") in ("chosen", "rejected")
    return f"pair {pair}" if is_paired else f"id {conversation.id}"


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise _error(f"{name!r} in the split cannot be a file name; use letters, digits and _")
    return name


def _to_fraction(name: str, fraction: float | str) -> Fraction:
    try:
        exact = Fraction(str(fraction)) if _FRACTION.fullmatch(str(fraction)) else Fraction()
    except ZeroDivisionError:
        exact = Fraction()
    if not 0 < exact <= 1:
        raise _error(f"The fraction of {name!r} in the split is not a number above 0 and up to 1")
    return exact


def _error(message: str) -> SettingsError:
    return SettingsError(message, setting="split")
