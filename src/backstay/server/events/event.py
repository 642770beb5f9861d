"""Encoded server-sent events."""

from dataclasses import dataclass

from backstay.schemas import ApiObject


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One encoded event, for any number of listeners."""

    name: str
    encoded: bytes


def event(name: str, data: ApiObject, *, id: int | None = None) -> ServerEvent:  # noqa: A002 - its name in the protocol
    """Encode an event. JSON has no line breaks, so one line of data is enough."""
    head = f"event: {name}\n" if id is None else f"id: {id}\nevent: {name}\n"
    return ServerEvent(name, head.encode() + b"data: " + data.to_json() + b"\n\n")
