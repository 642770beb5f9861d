"""Idempotent requests: responses stored under the client's idempotency key."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

import orjson
from fastapi import Header, Request
from starlette.responses import Response

from backstay.coordination.expiring_value import ExpiringValue
from backstay.coordination.idempotency import ResponseRecorder, StoredResponse
from backstay.schemas import ApiObject
from backstay.server.state import state_of

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="A request that is repeated with its key runs once; for a day, repeats return the same response.",
        examples=["0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"],
    ),
]
MakeReceipt = Callable[[int, ApiObject], ExpiringValue]
"""A function that makes a response's receipt, to be stored in the transaction of the request's work."""
Operation = Callable[[MakeReceipt | None], Awaitable[tuple[int, ApiObject]]]


async def run_once(
    request: Request, key: str | None, content: Any, operation: Operation
) -> tuple[StoredResponse, bool]:
    """Run an operation, or find the response stored under this key; return the response and whether it was stored.

    Args:
        request: The request, for its owner and route.
        key: The idempotency key, if there is one.
        content: The whole request as plain JSON, because a key belongs to one request.
        operation: Does the work and returns the response's status and object. With a key, it gets a function that makes
            the receipt; an operation that stores no receipt must be idempotent.
    """

    async def run(recorder: ResponseRecorder | None) -> StoredResponse:
        return _to_stored_response(*await operation(partial(_record, recorder) if recorder is not None else None))

    query = sorted(request.query_params.multi_items())
    fingerprint = json.dumps([request.scope["route"].path, query, content], sort_keys=True).encode()
    state = state_of(request)
    return await state.backstay.idempotency.run_once(
        request.state.owner, key, hashlib.sha256(fingerprint).digest(), run
    )


async def respond_once(
    request: Request, key: str | None, content: Any, operation: Operation, *, location: str | None = None
) -> Response:
    """Run an operation like `run_once`, and return its response.

    `location` is the created object's address, in which `{field}` stands for a field of the response.
    """
    stored, is_replayed = await run_once(request, key, content, operation)
    headers = {"Idempotency-Replayed": "true"} if is_replayed else {}
    if location is not None:
        fields = {name: quote(value, safe="") for name, value in stored.body.items() if isinstance(value, str)}
        headers["Location"] = f"{request.scope.get('root_path', '')}{location.format(**fields)}"
    return Response(orjson.dumps(stored.body), stored.status, headers, media_type="application/json")


def _to_stored_response(status: int, out: ApiObject) -> StoredResponse:
    return StoredResponse(status, out.model_dump(mode="json", by_alias=True))


def _record(recorder: ResponseRecorder, status: int, out: ApiObject) -> ExpiringValue:
    return recorder.record(_to_stored_response(status, out))
