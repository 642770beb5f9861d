"""Adaptation of requests after an endpoint has rejected some of their features."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from backstay.generate.classification_rule import RequestChange
from backstay.generate.error_response import ErrorResponse
from backstay.generate.providers.provider import Structure

_MAX_UNUSABLE_ANSWERS = 8  # in a row
_CONFIRMING_REJECTIONS = 3
_REQUIRED_PARAMETERS = frozenset({"model", "messages"})


@dataclass(slots=True)
class Adaptation:
    """The structures and parameters that one model of an account accepts. All calls to the model share it."""

    structures: list[Structure]
    """Structures that may still be requested, in the order in which they are tried."""
    renamed: dict[str, str] = field(default_factory=dict)
    """Parameter → the name that the endpoint uses for it."""
    omitted: frozenset[str] = frozenset()
    """Parameters that the endpoint rejects."""
    change_count: int = 0
    """How many times the form of requests has changed."""
    unconfirmed_rejections: dict[Structure, int] = field(default_factory=dict)
    """Structure → how many items in a row had an error that seems, by its wording alone, to reject the structure."""
    hint: str | None = None
    """The fault of recent answers, to be mentioned in every prompt."""
    unusable_in_a_row: int = 0
    """Unusable answers since the last usable one."""
    has_resampled: bool = False
    """Whether an immediate retry of a failed sample has been used since the last usable answer."""

    def adapt_body(self, body: Mapping[str, Any], user_parameters: Container[str] = ()) -> dict[str, Any]:
        """Return a request body with rejected parameters omitted and renamed ones under their other name.

        Parameters that the user has set stay unchanged, because what was learned may come from another job.
        """
        if not self.renamed and not self.omitted:
            return dict(body)
        return {
            name if name in user_parameters else self.renamed.get(name, name): value
            for name, value in body.items()
            if name in user_parameters or name not in self.omitted
        }

    def drop_structure(self, rejected: Structure) -> bool:
        """Stop requesting a structure; return False if no simpler one is left.

        When many calls report the same structure, only the first one counts as a change.
        """
        if rejected == self.structures[-1]:
            return False
        if rejected in self.structures:
            self.structures.remove(rejected)
            self.change_count += 1
        return True

    def learn_unconfirmed_rejection(self, rejected: Structure) -> bool:
        """Count an item whose error text seems to reject a structure. The text may merely quote the prompt.

        Return whether the rejection counts as confirmed. Every later item then uses a simpler structure; before that,
        only this item does.
        """
        self.unconfirmed_rejections[rejected] = self.unconfirmed_rejections.get(rejected, 0) + 1
        return self.unconfirmed_rejections[rejected] >= _CONFIRMING_REJECTIONS

    def learn_accepted(self, structure: Structure, unconfirmed_structures: Iterable[Structure]) -> None:
        """Learn from an accepted request that the structures rejected earlier for its item were the cause."""
        self.unconfirmed_rejections.pop(structure, None)
        for rejected in unconfirmed_structures:
            self.drop_structure(rejected)

    def learn_unusable_answer(self, structure: Structure, hint: str | None) -> None:
        """Count an unusable answer; after several in a row, fall back to a simpler structure or add a hint for all."""
        self.unusable_in_a_row += 1
        if self.unusable_in_a_row >= _MAX_UNUSABLE_ANSWERS:
            self.unusable_in_a_row = 0
            if not self.drop_structure(structure):
                self.hint = hint

    def claim_resample(self) -> bool:
        """Return whether a failed sample may be retried at once: true only once between two usable answers."""
        may_resample = not self.has_resampled
        self.has_resampled = True
        return may_resample

    def record_usable_answer(self) -> None:
        """Record a usable answer."""
        self.unusable_in_a_row = 0
        self.has_resampled = False

    def omit_parameter(self, parameter: str) -> bool:
        """Omit a rejected parameter from now on; return False if requests need it."""
        if parameter in _REQUIRED_PARAMETERS:
            return False
        if parameter not in self.omitted:
            self.omitted |= {parameter}
            self.change_count += 1
        return True

    def rename_parameter(self, parameter: str, new_name: str) -> bool:
        """Use another name for a parameter from now on; return False if that cannot help."""
        if new_name in ("", parameter) or self.renamed.get(new_name) == parameter:
            return False
        if self.renamed.get(parameter) != new_name:
            self.renamed[parameter] = new_name
            self.change_count += 1
        return True


def adapt_to_error(
    adaptation: Adaptation, error: ErrorResponse, structure: Structure, user_parameters: Container[str]
) -> bool:
    """Change the form of requests after an error response of kind `ADAPTABLE`; return False if no other form is left.

    The rejected request asked for `structure`. Parameters that the user has set are neither renamed nor omitted.
    """
    parameter = error.parameter
    if error.change is RequestChange.SIMPLER:
        return adaptation.drop_structure(structure)
    if parameter is None or parameter in user_parameters:
        return False
    if error.change is RequestChange.RENAME:
        return adaptation.rename_parameter(parameter, error.new_name or "")
    return error.change is RequestChange.OMIT and adaptation.omit_parameter(parameter)
