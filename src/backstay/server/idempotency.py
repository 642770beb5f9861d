"""Requests that make something, under the key of whoever sends them."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

import orjson
from fastapi import Header, Request
from starlette.responses import Response

from backstay.coordination.idempotency import ResponseRecorder, StoredResponse
from backstay.library.expiring_value import ExpiringValue
from backstay.schemas import ApiObject
from backstay.server.state import state_of

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="The same key with the same request is done once, and answered the same for a day.",
        examples=["0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"],
    ),
]
MakeNote = Callable[[int, ApiObject], ExpiringValue]
"""Makes the receipt of an answer, to be written in the transaction of the request's work."""
Act = Callable[[MakeNote | None], Awaitable[tuple[int, ApiObject]]]


async def answer_once(request: Request, key: str | None, asked: Any, act: Act) -> tuple[StoredResponse, bool]:
    """Return the answer of `act`, or the earlier answer under this key, and whether it is an earlier one.

    Args:
        request: Says whose key it is, and which address is meant.
        key: The key, if there is one.
        asked: The whole request as plain JSON: a key stands for one request.
        act: Does the work and returns the status and the object of the answer. With a key it is given the maker of its
            receipt; if it writes none, it must be idempotent.
    """

    async def do(receipt: ResponseRecorder | None) -> StoredResponse:
        return _answer(*await act(partial(_note, receipt) if receipt is not None else None))

    query = sorted(request.query_params.multi_items())
    meant = json.dumps([request.scope["route"].path, query, asked], sort_keys=True).encode()
    state = state_of(request)
    return await state.backstay.idempotency.run_once(request.state.owner, key, hashlib.sha256(meant).digest(), do)


async def once(request: Request, key: str | None, asked: Any, act: Act, *, location: str | None = None) -> Response:
    """Answer a request, like `answer_once`.

    `location` is the address of what was made, with `{field}`s of the answer.
    """
    answer, was_kept = await answer_once(request, key, asked, act)
    headers = {"Idempotency-Replayed": "true"} if was_kept else {}
    if location is not None:
        named = {name: quote(value, safe="") for name, value in answer.body.items() if isinstance(value, str)}
        headers["Location"] = f"{request.scope.get('root_path', '')}{location.format(**named)}"
    return Response(orjson.dumps(answer.body), answer.status, headers, media_type="application/json")


def _answer(status: int, shown: ApiObject) -> StoredResponse:
    return StoredResponse(status, shown.model_dump(mode="json", by_alias=True))


def _note(receipt: ResponseRecorder, status: int, shown: ApiObject) -> ExpiringValue:
    return receipt.record(_answer(status, shown))
