"""Idempotent requests: a request repeated under the same key is executed once."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson

from backstay.coordination.expiring_value import ExpiringValue
from backstay.coordination.store import ExpiringValueStore
from backstay.errors import BackstayError, IdempotencyKeyInFlight, IdempotencyKeyReused
from backstay.logs import get_logger

_log = get_logger("backstay.coordination")

_KIND = "request"
_RESPONSE_LIFETIME = timedelta(hours=24)
_CLAIM_LIFETIME = timedelta(minutes=2)
_RENEWAL_SECONDS = 40.0  # a claim expires after three missed renewals


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The response to a request."""

    status: int
    body: Any


@dataclass(frozen=True, slots=True)
class ResponseRecorder:
    """A builder of the stored response, to be written in the transaction that does the request's work."""

    owner: str
    name: str
    digest: str

    def record(self, response: StoredResponse) -> ExpiringValue:
        """Return the expiring value that records a response."""
        return ExpiringValue(self.owner, _KIND, self.name, _to_json(self.digest, response), _RESPONSE_LIFETIME)


Act = Callable[[ResponseRecorder | None], Awaitable[StoredResponse]]


class IdempotentRequests:
    """The responses of requests with an idempotency key, stored for a day.

    A server that dies during a request leaves a claim that expires after two minutes; until then the key is in flight.
    So work under a key must be idempotent, or record its response in its own transaction. A failed request leaves no
    record, so it may be retried under the same key.
    """

    def __init__(self, *, store: ExpiringValueStore) -> None:
        self._store = store

    async def run_once(self, owner: str, key: str | None, request: bytes, act: Act) -> tuple[StoredResponse, bool]:
        """Return the response of `act` or the stored one, and whether it was stored.

        Args:
            owner: Owner of the key.
            key: The idempotency key; if None, `act` is simply called.
            request: Content of the request; a key may be used for one content only.
            act: Does the work; if there is a key, `act` gets a recorder for the response.

        Raises:
            IdempotencyKeyReused: the key was used for another request.
            IdempotencyKeyInFlight: a request with this key is in progress.
        """
        if key is None:
            return await act(None), False
        name, digest = hashlib.sha256(key.encode()).hexdigest(), hashlib.sha256(request).hexdigest()
        recorder = ResponseRecorder(owner, name, digest)
        claim = ExpiringValue(owner, _KIND, name, _to_json(digest, None), _CLAIM_LIFETIME)
        existing = await self._store.claim(claim)
        if existing is not None:
            return _stored_response(orjson.loads(existing), digest), True
        async with self._keep_claim(claim):
            try:
                response = await act(recorder)
            except BaseException:
                # This drops only the claim, which expires if that fails. A recorded response stays: its work is done.
                with contextlib.suppress(BackstayError):
                    await asyncio.shield(self._store.drop(claim))
                raise
        await self._store.put(recorder.record(response))
        return response, False

    @contextlib.asynccontextmanager
    async def _keep_claim(self, claim: ExpiringValue) -> AsyncIterator[None]:
        async def renew() -> None:
            while True:
                await asyncio.sleep(_RENEWAL_SECONDS)
                try:
                    await self._store.renew(claim)
                except BackstayError as error:
                    _log.warning("claim_renewal_failed", code=error.code)

        task = asyncio.create_task(renew())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _to_json(digest: str, response: StoredResponse | None) -> str:
    fields = None if response is None else {"status": response.status, "body": response.body}
    return orjson.dumps({"request": digest, "answer": fields}).decode()


def _stored_response(record: dict[str, Any], digest: str) -> StoredResponse:
    if record["request"] != digest:
        raise IdempotencyKeyReused("This Idempotency-Key was used for another request; choose a new one for each")
    if record["answer"] is None:
        raise IdempotencyKeyInFlight("A request with this Idempotency-Key is in progress; retry when it has finished")
    return StoredResponse(**record["answer"])
