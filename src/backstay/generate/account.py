"""Accounts with providers: everything that goes to one endpoint with one key, and shares its limits."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backstay.generate import credentials
from backstay.generate.limiter import Limiter
from backstay.generate.pace import Pace

if TYPE_CHECKING:
    from backstay.generate.endpoint import Endpoint
    from backstay.generate.http import Http


@dataclass(slots=True)
class Account:
    """One account: its connections, its line, its key."""

    http: "Http"
    limiter: Limiter
    key: str | None = field(repr=False)


class Accounts:
    """The accounts of a process, each made when it is first needed."""

    def __init__(self, *, rpm: int | None = None, tpm: int | None = None) -> None:
        self._rpm = rpm
        self._tpm = tpm
        self._accounts: dict[tuple[str, str | None], Account] = {}

    def account(self, endpoint: "Endpoint") -> Account:
        """Return the account that an endpoint is asked with.

        Raises:
            KeyMissing: it needs a key, and the environment has none.
        """
        # Here and not above: who asks no provider need not wait for what speaks to one.
        from backstay.generate.http import Http

        key = credentials.key_from(endpoint.key_variable, required=endpoint.key_required, model=endpoint.model)
        known = self._accounts.get((endpoint.url, key))
        if known is None:
            http = Http(endpoint.url, endpoint.provider.headers(key))
            known = Account(http, Limiter(Pace(rpm=self._rpm, tpm=self._tpm), host=endpoint.host), key)
            self._accounts[endpoint.url, key] = known
        return known

    async def close(self) -> None:
        """Close all connections. Twice is safe."""
        accounts, self._accounts = self._accounts, {}
        for account in accounts.values():
            account.limiter.close()
            await account.http.close()
