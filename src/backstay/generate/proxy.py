"""The proxy on the way to an endpoint, as the environment names it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from backstay.errors import SettingsError
from backstay.generate.endpoint_url import why_no_name

_SYSTEM = "the proxy settings of the system"
_SCHEMES = frozenset({"http", "https"})


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy for HTTP."""

    url: URL = field(repr=False)
    """May hold a password: never shown."""
    variable: str
    """The environment variable that names it."""

    def __str__(self) -> str:
        return f"the proxy {self.url.host}:{self.url.port} ({self.variable})"


def find_proxy(url: URL, environ: Mapping[str, str] | None = None) -> Proxy | None:
    """Return the proxy on the way to an address; None for an address that is asked directly.

    Reads HTTPS_PROXY or HTTP_PROXY, then ALL_PROXY, and NO_PROXY; of each name, lower case wins. Without `environ`,
    the proxy settings of the operating system are read last.

    Raises:
        SettingsError: the proxy cannot be used. The message names its variable, and never its password.
    """
    host = (url.host or "").lower()
    values = os.environ if environ is None else environ
    if _is_local(host) or _is_excluded(host, url.port, _read(values, "NO_PROXY")[1]):
        return None
    for name in (f"{url.scheme.upper()}_PROXY", "ALL_PROXY"):
        variable, address = _read(values, name)
        if address:
            return Proxy(_checked(address, variable), variable)
    if environ is None and not proxy_bypass(host) and (found := getproxies().get(url.scheme)):
        return Proxy(_checked(found, _SYSTEM), _SYSTEM)
    return None


def _read(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    # Set but empty, the lower-case variable switches the other off.
    variable = name.lower() if name.lower() in environ else name
    return variable, environ.get(variable, "").strip()


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_excluded(host: str, port: int | None, no_proxy: str) -> bool:
    for entry in no_proxy.lower().replace(",", " ").split():
        name = entry.removeprefix("*").removeprefix(".")
        if not name:
            return True  # a lone asterisk
        if name in {host, f"{host}:{port}"} or f"{host}:{port}".endswith(f".{name}") or host.endswith(f".{name}"):
            return True
        if "/" in name and _is_in_network(host, name):
            return True
    return False


def _is_in_network(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False


def _checked(address: str, variable: str) -> URL:
    scheme, separator, rest = address.partition("://")
    # As curl reads it: without a scheme it is a proxy for HTTP.
    scheme, rest = (scheme.lower(), rest) if separator else ("http", address)
    if scheme not in _SCHEMES:
        raise SettingsError(
            f"{variable} names a {scheme if scheme.isalnum() else 'strange kind of'} proxy, which is not supported; "
            "set it to an HTTP proxy (http://HOST:PORT), or name the endpoint's host in NO_PROXY to ask it directly",
            setting=variable,
        )
    try:
        url = URL(f"{scheme}://{rest}")
        name = url.raw_host
        if name and url.port and (":" in name or why_no_name(name) is None):  # with a colon it is an IPv6 address
            return url
    except ValueError:
        pass
    raise SettingsError(
        f"What {variable} holds is not the address of a proxy; set it to http://HOST:PORT", setting=variable
    )
