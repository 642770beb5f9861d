"""Rules that classify error responses: conditions on a response, and the classification if they hold. Pure."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from backstay.generate.error_body import ErrorBody

_MAX_GAP_CHARACTERS = 120  # that `…` matches


class ErrorKind(StrEnum):
    """The scope of an error response, which decides what happens to the item and its job."""

    ITEM = "item"
    """The item's prompt is rejected: the item fails, and the job continues."""
    ADAPTABLE = "adaptable"
    """The form of the request is rejected: another form may be accepted, and is tried at once."""
    TRANSIENT = "transient"
    """A limit, an overload or an outage: the item waits and is retried."""
    ACCOUNT = "account"
    """The key, the balance, the network or the address is rejected: the job pauses."""
    MODEL = "model"
    """The model is unknown, retired or not allowed: the job pauses."""
    UNKNOWN = "unknown"
    """No rule says more than the status: the item fails."""


class RequestChange(StrEnum):
    """The change to a request that may make it acceptable."""

    SIMPLER = "simpler"
    """Request a simpler structure, because this one is not supported."""
    RESAMPLE = "resample"
    """Request this item again with a simpler structure, because only this sample failed."""
    RENAME = "rename"
    """Use another name for a parameter."""
    OMIT = "omit"
    """Omit a parameter, because the parameter or its value is not supported."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table of rules, which matches if all of its conditions hold."""

    kind: ErrorKind
    code: str
    providers: str = ""
    """Providers that send such responses, for the reference page."""
    statuses: Set[int] = frozenset()
    codes: Set[str] = frozenset()
    """Lower-case; the body has one of them as a code, type or reason."""
    field: tuple[str, str] | None = None
    """The end of a path, and a part of its value; both lower-case."""
    header: tuple[str, str] | None = None
    words: tuple[str, ...] = ()
    """Lower-case phrases; the text contains one of them. `…` matches up to `_MAX_GAP_CHARACTERS` characters."""
    parameters: Set[str] = frozenset()
    """The rejected parameter is one of them; `*` matches any."""
    is_page: bool = False
    has_time: bool | None = None
    """Whether the response names a time to wait."""
    completion_is_larger: bool = False
    is_decisive: bool = False
    is_limit: bool = False
    change: RequestChange | None = None
    new_name: str | None = None
    message: str = ""
    """The key of the message, if it differs from the code."""
    reason: str = ""

    @property
    def is_by_text(self) -> bool:
        """Whether the rule relies on the text alone, which may quote a prompt."""
        return bool(self.words) and not self.codes and self.field is None


def matches(rule: Rule, error: ErrorBody, headers: Mapping[str, str], *, has_time: bool) -> bool:
    """Return whether all conditions of a rule except the status hold."""
    return (
        (not rule.codes or not error.codes.isdisjoint(rule.codes))
        and (not rule.parameters or _has_parameter(rule, error))
        and (rule.has_time is None or rule.has_time == has_time)
        and (not rule.is_page or error.is_page)
        and (not rule.completion_is_larger or error.is_completion_larger)
        and (rule.header is None or headers.get(rule.header[0], "").lower() == rule.header[1])
        and (rule.field is None or _has_field(rule.field, error))
        and (not rule.words or _contains_any(error.text, rule.words))
    )


def _has_parameter(rule: Rule, error: ErrorBody) -> bool:
    return error.parameter is not None and ("*" in rule.parameters or error.parameter in rule.parameters)


def _has_field(field: tuple[str, str], error: ErrorBody) -> bool:
    path_end, text = field
    return any(path.endswith(path_end) and text in value.lower() for path, value in error.fields)


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
    """Return whether the other parts of a phrase follow its first part, each within the gap."""
    start = text.find(first)
    while start >= 0:
        end = start + len(first)
        for other in others:
            if (position := text.find(other, end, end + _MAX_GAP_CHARACTERS + len(other))) < 0:
                break
            end = position + len(other)
        else:
            return True
        start = text.find(first, start + 1)
    return False
