"""What an endpoint does not take, learnt from its refusals, and requests made accordingly."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backstay.generate.error_response import ErrorResponse, RequestChange
from backstay.generate.providers.provider import Structure

_TELLING_ANSWERS = 8
_TELLING_DOUBTS = 3
_NEEDED = frozenset({"model", "messages"})


@dataclass(slots=True)
class Adaptation:
    """What was learnt about one model of an account; shared by all calls to it."""

    structures: list[Structure]
    """Those that are left to ask for, in the order in which they are tried."""
    renamed: dict[str, str] = field(default_factory=dict)
    """Parameter → its name here."""
    omitted: frozenset[str] = frozenset()
    """Parameters that are not taken."""
    change_count: int = 0
    """How often something was learnt about what is taken."""
    unconfirmed_rejections: dict[Structure, int] = field(default_factory=dict)
    """Items in a row that were refused a structure in words, without one that was given it in between."""
    hint: str | None = None
    """What is wrong with most answers, for the prompt of all."""
    unusable_in_a_row: int = 0
    """Unusable answers, without a usable one in between."""
    has_resampled: bool = False
    """An item was asked for again at once for its sample alone, and no conversation has come since."""

    @classmethod
    def from_structures(cls, structures: Sequence[Structure]) -> "Adaptation":
        return cls(list(structures))

    def adapt_body(self, body: Mapping[str, Any], own: Container[str] = ()) -> dict[str, Any]:
        """Return a request's body without the parameters that are not taken, and with the names that are.

        What another job learnt must not change the parameters in `own`, which the user has set.
        """
        if not self.renamed and not self.omitted:
            return dict(body)
        return {
            name if name in own else self.renamed.get(name, name): value
            for name, value in body.items()
            if name in own or name not in self.omitted
        }

    def drop_structure(self, refused: Structure) -> bool:
        """Note that a structure is not available; False when none is left that is plainer.

        Of many calls that were refused the same structure, only the first changes it for all.
        """
        if refused == self.structures[-1]:
            return False
        if refused in self.structures:
            self.structures.remove(refused)
            self.change_count += 1
        return True

    def learn_unconfirmed_rejection(self, refused: Structure) -> bool:
        """Note that an item was refused a structure in words, which may be its prompt's; return whether they are
        believed: then all are asked in a plainer way, and otherwise this item alone.
        """
        self.unconfirmed_rejections[refused] = self.unconfirmed_rejections.get(refused, 0) + 1
        return self.unconfirmed_rejections[refused] >= _TELLING_DOUBTS

    def learn_accepted(self, structure: Structure, unconfirmed_structures: Iterable[Structure]) -> None:
        """Note that a request was taken, whose item had been refused other structures in words: it was for those."""
        self.unconfirmed_rejections.pop(structure, None)
        for refused in unconfirmed_structures:
            self.drop_structure(refused)

    def learn_unusable_answer(self, structure: Structure, hint: str | None) -> None:
        """Note an answer of another shape; after several in a row, ask all in a plainer way, or say what is wrong."""
        self.unusable_in_a_row += 1
        if self.unusable_in_a_row >= _TELLING_ANSWERS:
            self.unusable_in_a_row = 0
            if not self.drop_structure(structure):
                self.hint = hint

    def allow_resample(self) -> bool:
        """Return whether a sample that failed is asked for again at once: one may, where one follows another it is no
        accident, and each costs a try.
        """
        may_resample = not self.has_resampled
        self.has_resampled = True
        return may_resample

    def record_conversation(self) -> None:
        """Note an answer that was one."""
        self.unusable_in_a_row = 0
        self.has_resampled = False

    def learn_omitted(self, parameter: str) -> bool:
        """Note a parameter that is not taken; False when it is one that a request cannot do without."""
        if parameter in _NEEDED:
            return False
        if parameter not in self.omitted:
            self.omitted |= {parameter}
            self.change_count += 1
        return True

    def learn_renamed(self, parameter: str, new_name: str) -> bool:
        """Note another name of a parameter; False when that leads nowhere."""
        if new_name in ("", parameter) or self.renamed.get(new_name) == parameter:
            return False
        if self.renamed.get(parameter) != new_name:
            self.renamed[parameter] = new_name
            self.change_count += 1
        return True


def adapt(adaptation: Adaptation, refusal: ErrorResponse, structure: Structure, own: Container[str]) -> bool:
    """Learn from a refusal how else to ask; False when there is no other way.

    Args:
        adaptation: takes what is learnt.
        refusal: of kind `ADAPTABLE`.
        structure: what the refused request asked for.
        own: names of the parameters that the user has set: none of them is renamed or left out.
    """
    parameter = refusal.parameter
    if refusal.change is RequestChange.SIMPLER:
        return adaptation.drop_structure(structure)
    if parameter is None or parameter in own:
        return False
    if refusal.change is RequestChange.RENAME:
        return adaptation.learn_renamed(parameter, refusal.new_name or "")
    return refusal.change is RequestChange.OMIT and adaptation.learn_omitted(parameter)
