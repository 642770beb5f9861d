"""Encoding of server-sent events."""

from backstay.schemas import ApiObject


def encode_event(name: str, data: ApiObject, *, id: int | None = None) -> bytes:  # noqa: A002 - its name in the protocol
    """Encode an event, for any number of listeners. JSON has no line breaks, so one line of data is enough."""
    head = f"event: {name}\n" if id is None else f"id: {id}\nevent: {name}\n"
    return head.encode() + b"data: " + data.to_json() + b"\n\n"
