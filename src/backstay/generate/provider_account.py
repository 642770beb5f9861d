"""Provider accounts: the calls to one endpoint with one key share the account's limits."""

import asyncio
from typing import TYPE_CHECKING

from backstay.errors import ApiKeyMissing, BackstayError
from backstay.generate.error_scope import SuspectedErrors
from backstay.generate.key_source import KeySource, KeySources
from backstay.generate.limiter import RateLimiter
from backstay.generate.provider_trouble import PATIENCE_SECONDS
from backstay.generate.query_and_headers import merge_headers
from backstay.generate.rate import AccountRate
from backstay.generate.secret_detection import Secrets
from backstay.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from backstay.generate.endpoint import Endpoint
    from backstay.generate.http_client import HttpResponse
    from backstay.generate.providers.provider import Structure
    from backstay.generate.request_adaptation import Adaptation

_log = get_logger("backstay.keys")

_UNAUTHORIZED = 401


class Account:
    """An account with its connections, its queue and its key."""

    def __init__(
        self,
        endpoint: "Endpoint",
        key: str | None,
        *,
        sources: KeySources,
        limiter: RateLimiter,
        patience_seconds: float,
    ) -> None:
        """Prepare the headers and connections of all calls.

        Raises:
            SettingsError: a header in the settings has no value, or the proxy or the certificates cannot be used.
        """
        # Imported here: processes that call no provider need not load the HTTP client.
        from backstay.generate.http_client import HttpClient

        self.limiter = limiter
        self.patience_seconds = patience_seconds
        self._endpoint = endpoint
        self._sources = sources
        self._key = key
        self._secret_headers = sources.headers(endpoint.host)
        self.secrets = Secrets([key, *self._secret_headers.values()])
        """The secrets that must not be stored with a response."""
        self.http = HttpClient(endpoint.url, self._headers())
        self._renewed_headers: Mapping[str, str] | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._suspected_errors: dict[str, SuspectedErrors] = {}
        self._adaptations: dict[tuple[str, tuple[Structure, ...]], Adaptation] = {}

    def adaptation(self, model: str, structures: "tuple[Structure, ...]") -> "Adaptation":
        """Return the adaptation for a model and the structures to request from it. All jobs share it."""
        from backstay.generate.request_adaptation import Adaptation

        return self._adaptations.setdefault((model, structures), Adaptation(list(structures)))

    def suspected_errors(self, model: str) -> SuspectedErrors:
        """Return the suspected errors of a model. All jobs share them."""
        return self._suspected_errors.setdefault(model, SuspectedErrors())

    @property
    def has_key(self) -> bool:
        return self._key is not None

    @property
    def key_source(self) -> KeySource:
        return self._sources.source_of(self._endpoint.key_variable)

    async def post(self, body: bytes, *, stream: bool = False) -> "HttpResponse":
        """Send a request; send it again if the key was rejected and has a new value. Raises like `HttpClient.post`."""
        key = self._key
        reply = await self.http.post(body, headers=self._renewed_headers, stream=stream)
        if reply.status == _UNAUTHORIZED and await self._has_other_key(than=key):
            reply = await self.http.post(body, headers=self._renewed_headers, stream=stream)
        return reply

    async def _has_other_key(self, *, than: str | None) -> bool:
        if self._key == than and self._sources.is_renewable(self._endpoint.key_variable):
            # Concurrent calls whose key was rejected share one renewal.
            if self._renewing is None:
                self._renewing = asyncio.create_task(self._renew())
            await asyncio.shield(self._renewing)
        return self._key != than

    async def _renew(self) -> None:
        variable = self._endpoint.key_variable
        try:
            key = await self._sources.obtain(variable, refresh=True)
        except BackstayError as error:
            _log.warning("key_not_renewed", variable=variable, reason=error.message)
            return
        finally:
            self._renewing = None
        if key != self._key:
            self.secrets = Secrets([key, self._key, *self._secret_headers.values()])
            self._key = key
            self._renewed_headers = self._headers()

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        if self._renewing is not None:
            self._renewing.cancel()
        self.limiter.close()
        await self.http.close()

    def _headers(self) -> dict[str, str]:
        return merge_headers(self._endpoint.request_headers(self._key), self._secret_headers)


class Accounts:
    """The accounts of a process, each created on first use."""

    def __init__(
        self,
        *,
        rpm: int | None = None,
        tpm: int | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        keys: KeySources | None = None,
    ) -> None:
        self._rpm = rpm
        self._tpm = tpm
        self._patience_seconds = patience_seconds
        self._keys = keys or KeySources()
        self._accounts: dict[tuple[Hashable, ...], Account] = {}

    @property
    def environment(self) -> "Mapping[str, str]":
        """The environment, in which each variable whose key the settings provide counts as set."""
        return self._keys.environment

    async def account(self, endpoint: "Endpoint") -> Account:
        """Return the account of an endpoint. The first call waits for the source of its key.

        Raises:
            ApiKeyMissing: the endpoint needs a key and none is set.
            SettingsError: a header in the settings has no value, or the proxy or the certificates cannot be used.
        """
        variable = endpoint.key_variable
        key = await self._keys.obtain(variable)
        if key is None and endpoint.key_required:
            is_server = self._keys.source_of(variable) is KeySource.SERVER_VARIABLE
            restart = f"restart the server with it in {variable}"
            raise ApiKeyMissing(
                f"{endpoint.name} needs an API key: "
                f"{restart if is_server else f'put it into the environment variable {variable}'}, or name a "
                f"command that prints it or a file that holds it under [keys.{variable}] in backstay.toml",
                variable=variable,
            )
        # A renewable key may change, so its variable identifies the account.
        renewable = self._keys.is_renewable(variable)
        headers = tuple(sorted(endpoint.request_headers(None).items()))
        name = (endpoint.url, headers, endpoint.key_header, variable if renewable else "", None if renewable else key)
        account = self._accounts.get(name)
        if account is None:
            patience = self._patience_seconds
            rate = AccountRate(rpm=self._rpm, tpm=self._tpm, patience_seconds=patience)
            limiter = RateLimiter(rate, host=endpoint.host)
            account = Account(endpoint, key, sources=self._keys, limiter=limiter, patience_seconds=patience)
            self._accounts[name] = account
        return account

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        accounts, self._accounts = self._accounts, {}
        for account in accounts.values():
            await account.close()
