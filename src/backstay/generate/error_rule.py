"""One rule about refusals: its conditions on an answer, and what it says when they hold. Pure."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from backstay.generate.error_body import ErrorBody

_GAP = 120  # characters that `…` stands for at most


class ErrorKind(StrEnum):
    """What a refusal concerns."""

    ITEM = "item"
    ADAPTABLE = "adaptable"
    """Asked in another way, it may be answered."""
    TRANSIENT = "transient"
    ACCOUNT = "account"
    MODEL = "model"
    UNKNOWN = "unknown"


class RequestChange(StrEnum):
    """What to ask differently."""

    SIMPLER = "simpler"
    """The structure that was asked for is not available here."""
    RESAMPLE = "resample"
    """Only this sample failed: its item alone is asked in a plainer way."""
    RENAME = "rename"
    """A parameter has another name here."""
    OMIT = "omit"
    """A parameter, or its value, is not supported."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table. All conditions that are given have to hold."""

    kind: ErrorKind
    code: str
    providers: str = ""
    """Providers that answer so, for the reference."""
    statuses: Set[int] = frozenset()
    codes: Set[str] = frozenset()
    """Lower-case; one of them is among the body's codes, types and reasons."""
    field: tuple[str, str] | None = None
    """The end of a path, and what its value contains; both lower-case."""
    header: tuple[str, str] | None = None
    words: tuple[str, ...] = ()
    """Lower-case; one of them is said. `…` stands for some text in between."""
    parameters: Set[str] = frozenset()
    """The refused parameter is one of them, or any with `*`."""
    is_page: bool = False
    has_time: bool | None = None
    """Whether the answer names a time to wait."""
    completion_is_larger: bool = False
    is_decisive: bool = False
    is_limit: bool = False
    change: RequestChange | None = None
    new_name: str | None = None
    message: str = ""
    """The key of the message, where it is not the code."""
    reason: str = ""

    @property
    def is_by_text(self) -> bool:
        """Whether nothing but words tells: they may be those of a prompt that is quoted."""
        return bool(self.words) and not self.codes and self.field is None


def matches(rule: Rule, said: ErrorBody, headers: Mapping[str, str], *, has_time: bool) -> bool:
    """Return whether all conditions of a rule hold, but for the status."""
    return (
        (not rule.codes or not said.codes.isdisjoint(rule.codes))
        and (not rule.parameters or _has_parameter(rule, said))
        and (rule.has_time is None or rule.has_time == has_time)
        and (not rule.is_page or said.is_page)
        and (not rule.completion_is_larger or said.is_completion_larger)
        and (rule.header is None or headers.get(rule.header[0], "").lower() == rule.header[1])
        and (rule.field is None or _has_field(rule.field, said))
        and (not rule.words or _contains_any(said.text, rule.words))
    )


def _has_parameter(rule: Rule, said: ErrorBody) -> bool:
    return said.parameter is not None and ("*" in rule.parameters or said.parameter in rule.parameters)


def _has_field(field: tuple[str, str], said: ErrorBody) -> bool:
    end, wanted = field
    return any(path.endswith(end) and wanted in value.lower() for path, value in said.fields)


def _contains_any(text: str, phrases: tuple[str, ...]) -> bool:
    for phrase in phrases:
        first, others = _split_phrase(phrase)
        if first in text and (not others or _rest_follows(text, first, others)):
            return True
    return False


@cache
def _split_phrase(phrase: str) -> tuple[str, tuple[str, ...]]:
    first, *others = phrase.split("…")
    return first, tuple(others)


def _rest_follows(text: str, first: str, others: tuple[str, ...]) -> bool:
    """Return whether the other parts of a phrase come after its first, each within a gap."""
    start = text.find(first)
    while start >= 0:
        end = start + len(first)
        for other in others:
            if (found := text.find(other, end, end + _GAP + len(other))) < 0:
                break
            end = found + len(other)
        else:
            return True
        start = text.find(first, start + 1)
    return False
