"""Doing what a request asks for once, however often it is sent under the same key."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson

from backstay.coordination.store import ExpiringValueStore
from backstay.errors import BackstayError, IdempotencyKeyInFlight, IdempotencyKeyReused
from backstay.library.expiring_value import ExpiringValue
from backstay.logs import get_logger

_log = get_logger("backstay.coordination")

_KIND = "request"
_KEPT = timedelta(hours=24)
_CLAIMED = timedelta(minutes=2)
_RENEWED_SECONDS = 40.0  # three chances before a claim lapses


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """What a request was answered with."""

    status: int
    body: Any


@dataclass(frozen=True, slots=True)
class ResponseRecorder:
    """Makes the note of a request's answer, to be written in the transaction of the request's work."""

    owner: str
    name: str
    digest: str

    def record(self, answer: StoredResponse) -> ExpiringValue:
        """Return the note that records this answer."""
        return ExpiringValue(self.owner, _KIND, self.name, _value(self.digest, answer), _KEPT)


Act = Callable[[ResponseRecorder | None], Awaitable[StoredResponse]]


class IdempotentRequests:
    """Keeps the answers of requests that came with a key, for a day.

    A server that dies during a request leaves a claim that lapses after two minutes; until then the key is in flight.
    So work under a key must be idempotent, or write its receipt in its own transaction. A failed request leaves
    nothing: it may be tried again under the same key.
    """

    def __init__(self, *, store: ExpiringValueStore) -> None:
        self._store = store

    async def run_once(self, owner: str, key: str | None, request: bytes, act: Act) -> tuple[StoredResponse, bool]:
        """Return the answer of `act`, or the one that was kept, and whether it was kept.

        Args:
            owner: Whose key it is.
            key: The key; without one `act` is simply done.
            request: What is asked for; the same key stands for the same request only.
            act: Does the work; with a key it is given a receipt.

        Raises:
            IdempotencyKeyReused: the key was used for another request.
            IdempotencyKeyInFlight: a request under this key is being worked on.
        """
        if key is None:
            return await act(None), False
        name, digest = hashlib.sha256(key.encode()).hexdigest(), hashlib.sha256(request).hexdigest()
        claim = _value(digest, None)
        claimed = await self._store.claim(owner, _KIND, name, claim, lasts=_CLAIMED)
        if claimed is not None:
            return _kept(orjson.loads(claimed), digest), True
        async with self._renewing(owner, name, claim):
            try:
                answer = await act(ResponseRecorder(owner, name, digest))
            except BaseException:
                # A receipt stays: the work is done, even if the answer is lost.
                await asyncio.shield(self._store.drop(owner, _KIND, name, claim))
                raise
        await self._store.put(owner, _KIND, name, _value(digest, answer), lasts=_KEPT)
        return answer, False

    @contextlib.asynccontextmanager
    async def _renewing(self, owner: str, name: str, claim: str) -> AsyncIterator[None]:
        async def renew() -> None:
            while True:
                await asyncio.sleep(_RENEWED_SECONDS)
                try:
                    await self._store.renew(owner, _KIND, name, claim, lasts=_CLAIMED)
                except BackstayError as error:
                    _log.warning("claim_renewal_failed", code=error.code)

        task = asyncio.create_task(renew())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _value(digest: str, answer: StoredResponse | None) -> str:
    told = None if answer is None else {"status": answer.status, "body": answer.body}
    return orjson.dumps({"request": digest, "answer": told}).decode()


def _kept(note: dict[str, Any], digest: str) -> StoredResponse:
    if note["request"] != digest:
        raise IdempotencyKeyReused("This Idempotency-Key was used for another request; choose a new one for each")
    if note["answer"] is None:
        raise IdempotencyKeyInFlight(
            "A request under this Idempotency-Key is being worked on; ask again when it is done"
        )
    return StoredResponse(**note["answer"])
