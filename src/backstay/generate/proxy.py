"""Lookup of the proxy for an endpoint in the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from backstay.errors import SettingsError
from backstay.generate.endpoint_url import explain_invalid_name, parse_ip

_SYSTEM_SETTINGS = "the proxy settings of the system"
_SCHEMES = frozenset({"http", "https"})


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy."""

    url: URL = field(repr=False)
    """The URL, which may contain a password and is never shown."""
    variable: str
    """The environment variable that names it."""

    @property
    def name(self) -> str:
        return f"{self.url.host}:{self.url.port} ({self.variable})"

    def __str__(self) -> str:
        return f"the proxy {self.name}"


def find_proxy(url: URL, environ: Mapping[str, str] | None = None) -> Proxy | None:
    """Return the proxy for an address; None if the address is reached directly.

    Reads HTTPS_PROXY or HTTP_PROXY, then ALL_PROXY, and NO_PROXY; lower-case names take precedence. Without `environ`,
    the proxy settings of the operating system are read last.

    Raises:
        SettingsError: the proxy cannot be used. The message names its variable, never its password.
    """
    host = (url.host or "").lower()
    values = os.environ if environ is None else environ
    if _is_local(host) or _is_excluded(host, url.port, _read_variable(values, "NO_PROXY")[1]):
        return None
    for name in (f"{url.scheme.upper()}_PROXY", "ALL_PROXY"):
        variable, address = _read_variable(values, name)
        if address:
            return Proxy(_parse_proxy_url(address, variable), variable)
    if environ is None and not proxy_bypass(host) and (system_address := getproxies().get(url.scheme)):
        return Proxy(_parse_proxy_url(system_address, _SYSTEM_SETTINGS), _SYSTEM_SETTINGS)
    return None


def _read_variable(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    # A lower-case variable that is set but empty disables the upper-case one.
    variable = name.lower() if name.lower() in environ else name
    return variable, environ.get(variable, "").strip()


def _is_local(host: str) -> bool:
    address = parse_ip(host)
    return host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback)


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


def _parse_proxy_url(address: str, variable: str) -> URL:
    scheme, separator, rest = address.partition("://")
    # Without a scheme it is an HTTP proxy, as for curl.
    scheme, rest = (scheme.lower(), rest) if separator else ("http", address)
    if scheme not in _SCHEMES:
        kind = f"a {scheme}" if scheme.isalnum() else "an unknown kind of"
        raise SettingsError(
            f"{variable} names {kind} proxy, which is not supported; "
            "set it to an HTTP proxy (http://HOST:PORT), or name the endpoint's host in NO_PROXY to reach it directly",
            setting=variable,
        )
    try:
        url = URL(f"{scheme}://{rest}")
        name = url.raw_host
        # With a colon it is an IPv6 address.
        if name and url.port and (":" in name or explain_invalid_name(name) is None):
            return url
    except ValueError:
        pass
    message = f"The value of {variable} is not the address of a proxy; set it to http://HOST:PORT"
    raise SettingsError(message, setting=variable)
