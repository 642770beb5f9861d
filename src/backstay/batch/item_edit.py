"""Edits of an item's content: topic, persona and parameters."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import EllipsisType
from typing import Any

from backstay.batch.item import Item, ItemState, content_digest_source
from backstay.batch.plain_values import plain_values
from backstay.errors import InvalidRow, InvalidTransition, PlanOutdated
from backstay.library.canonical_json import is_encodable
from backstay.library.id_text import quoted_id


@dataclass(frozen=True, slots=True)
class ItemContent:
    """An item of a job with its content, as a processor would receive it."""

    position: int
    id: str
    state: ItemState
    digest: bytes
    is_edited: bool
    """Whether its content differs from that of the input."""
    line: int | None
    """Its line in the input, or its number there, from 1."""
    topic: str | None
    """None if an earlier version of Backstay removed the input of a completed job."""
    persona: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def item(self) -> Item:
        """The item that a processor receives."""
        return Item(self.topic or "", self.id, self.persona, self.parameters)


@dataclass(frozen=True, slots=True)
class ItemEdit:
    """A change of an item's content. What it does not name stays."""

    topic: str | EllipsisType = ...
    persona: str | EllipsisType | None = ...
    """The new persona; None or an empty text for none."""
    set_parameters: Mapping[str, Any] = field(default_factory=dict)
    unset_parameters: Collection[str] = ()

    def apply(self, before: ItemContent) -> ItemContent:
        """Return the edited content with its digest.

        Raises:
            InvalidRow: the topic is empty, a text or value cannot be stored, or there is no parameter to unset.
        """
        topic = before.topic if isinstance(self.topic, EllipsisType) else _checked_text(self.topic, "topic")
        persona = before.persona if isinstance(self.persona, EllipsisType) else _checked_text(self.persona, "persona")
        if topic is None or not topic.strip():
            raise InvalidRow("The topic is empty; every item needs one", field="topic")
        parameters = dict(before.parameters)
        for name in self.unset_parameters:
            if name not in parameters:
                raise InvalidRow(f"The item has no parameter {name!r}", field=name)
            del parameters[name]
        parameters.update(self.set_parameters)
        try:
            parameters = plain_values(parameters)
            source = content_digest_source(topic, persona or None, parameters)
        except (ValueError, TypeError) as error:
            raise InvalidRow(f"A parameter cannot be stored as JSON: {error}", field="parameters") from error
        digest = hashlib.sha256(source).digest()
        return replace(before, topic=topic, persona=persona or None, parameters=parameters, digest=digest)


def refuse_uneditable(job_id: str, content: ItemContent) -> None:
    """Raise InvalidTransition unless the item is pending or failed and still has its input."""
    if content.state in (ItemState.PENDING, ItemState.FAILED) and content.topic is not None:
        return
    raise InvalidTransition(
        f"Item {quoted_id(content.id)} of job {quoted_id(job_id)} is {content.state}; only pending and failed items "
        "can be edited",
        job_id=job_id,
        item_id=content.id,
        state=str(content.state),
    )


def item_changed_error(job_id: str, item_id: str) -> PlanOutdated:
    """Return the error that an item, or the recipe that it must fit, has changed since it was read."""
    return PlanOutdated(
        f"Item {quoted_id(item_id)} of job {quoted_id(job_id)}, or the job's recipe, has changed meanwhile; nothing "
        "was stored",
        job_id=job_id,
        item_id=item_id,
    )


def _checked_text(text: str | None, name: str) -> str | None:
    if text is not None and ("\x00" in text or not is_encodable(text)):
        raise InvalidRow(
            f"The {name} has a NUL character, or half of a surrogate pair, which is not a character", field=name
        )
    return text
