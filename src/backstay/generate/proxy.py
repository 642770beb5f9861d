"""Lookup of the proxy for an endpoint, in the environment and in the settings of the operating system."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from backstay.errors import SettingsError
from backstay.generate.endpoint_url import explain_invalid_name, parse_ip

_SYSTEM_SETTINGS = "the system's proxy settings"
_SCHEMES = frozenset({"http", "https"})


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy."""

    url: URL = field(repr=False)
    """The URL, which may contain a password and is never shown."""
    source: str
    """Where the URL is set, for messages: an environment variable or the system's proxy settings."""

    @property
    def name(self) -> str:
        return f"{self.url.host}:{self.url.port} ({self.source})"

    def __str__(self) -> str:
        return f"the proxy {self.name}"


def find_proxy(url: URL, environ: Mapping[str, str] | None = None) -> Proxy | None:
    """Return the proxy for an address; None if the address is reached directly.

    Reads HTTPS_PROXY or HTTP_PROXY, then ALL_PROXY, and NO_PROXY; lower-case names take precedence. Without `environ`,
    the proxy settings of the operating system are read last.

    Raises:
        SettingsError: the proxy cannot be used. The message says where the proxy is set, never its password.
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
    names = (host, f"{host}:{port}", f"[{host}]:{port}")
    for entry in no_proxy.lower().replace(",", " ").split():
        suffix = entry.removeprefix("*").removeprefix(".")
        if entry == "*" or _is_in_network(host, suffix.strip("[]")):
            return True
        if suffix and any(f".{name}".endswith(f".{suffix}") for name in names):
            return True
    return False


def _is_in_network(host: str, network: str) -> bool:
    """Return whether a host is an address in a network, or equal to it."""
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False


def _parse_proxy_url(address: str, source: str) -> URL:
    scheme, separator, rest = address.partition("://")
    # An address without a scheme is that of an HTTP proxy, as for curl.
    scheme, rest = (scheme.lower(), rest) if separator else ("http", address)
    if scheme not in _SCHEMES:
        kind = f"a {scheme}" if scheme.isalnum() else "an unknown kind of"
        raise SettingsError(
            f"The proxy in {source} is {kind} proxy, which is not supported; "
            "set an HTTP proxy (http://HOST:PORT), or name the endpoint's host in NO_PROXY to reach it directly",
            setting=source,
        )
    try:
        url = URL(f"{scheme}://{rest}")
        host = url.raw_host
        if host and url.port and (parse_ip(host) is not None or explain_invalid_name(host) is None):
            return url
    except ValueError:
        pass
    raise SettingsError(f"The proxy in {source} has no valid address; set http://HOST:PORT", setting=source)
