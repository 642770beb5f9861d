"""Lookup of the proxy in the environment."""

import pytest
from yarl import URL

from backstay.errors import SettingsError
from backstay.generate import proxy as proxy_module
from backstay.generate.proxy import find_proxy

_HTTPS, _HTTP = "https://models.example/v1", "http://models.example/v1"
_ONE, _TWO = "http://one.example:3128", "http://two.example:3128"


@pytest.mark.parametrize(
    ("environ", "url", "expected"),
    [
        ({}, _HTTPS, None),
        ({"HTTPS_PROXY": _ONE}, _HTTPS, (_ONE, "HTTPS_PROXY")),
        ({"HTTPS_PROXY": _ONE}, _HTTP, None),
        ({"HTTP_PROXY": _ONE}, _HTTP, (_ONE, "HTTP_PROXY")),
        ({"https_proxy": _ONE, "HTTPS_PROXY": _TWO}, _HTTPS, (_ONE, "https_proxy")),
        ({"https_proxy": "", "HTTPS_PROXY": _TWO}, _HTTPS, None),
        ({"all_proxy": _ONE}, _HTTPS, (_ONE, "all_proxy")),
        ({"ALL_PROXY": _ONE}, _HTTP, (_ONE, "ALL_PROXY")),
        ({"ALL_PROXY": "socks5://one.example", "HTTPS_PROXY": _TWO}, _HTTPS, (_TWO, "HTTPS_PROXY")),
        ({"HTTPS_PROXY": "one.example:3128"}, _HTTPS, (_ONE, "HTTPS_PROXY")),
        ({"HTTPS_PROXY": "me:pass@127.0.0.1:3128"}, _HTTPS, ("http://me:pass@127.0.0.1:3128", "HTTPS_PROXY")),
        ({"HTTPS_PROXY": "HTTPS://one.example"}, _HTTPS, ("https://one.example", "HTTPS_PROXY")),
        ({"HTTPS_PROXY": "[::1]:3128"}, _HTTPS, ("http://[::1]:3128", "HTTPS_PROXY")),
    ],
)
def test_a_proxy_of_the_environment_is_found(environ, url, expected):
    """The scheme's variable precedes ALL_PROXY, lower case precedes upper case, and no scheme means HTTP."""
    proxy = find_proxy(URL(url), environ)

    assert (str(proxy.url), proxy.source) == expected if proxy is not None else expected is None


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_direct"),
    [
        ("models.example", _HTTPS, True),
        ("other.example, .EXAMPLE", _HTTPS, True),
        ("*.example", _HTTPS, True),
        ("*", _HTTPS, True),
        ("models.example:443", _HTTPS, True),
        ("models.example:8443", _HTTPS, False),
        ("els.example", _HTTPS, False),
        ("10.0.0.0/8 192.168.0.0/16", "http://10.1.2.3:8000/v1", True),
        ("10.0.0.0/8", "http://11.1.2.3:8000/v1", False),
        ("10.0.0.0/8", _HTTPS, False),
        (".", _HTTPS, False),
        ("*.", _HTTPS, False),
        ("2001:db8::/32", "http://[2001:db8::1]/v1", True),
        ("2001:DB8:0::1", "http://[2001:db8::1]/v1", True),
        ("[2001:db8::1]", "http://[2001:db8::1]/v1", True),
        ("[2001:db8::1]:8000", "http://[2001:db8::1]:8000/v1", True),
        ("[2001:db8::1]:8000", "http://[2001:db8::1]/v1", False),
        ("", "http://localhost:8000/v1", True),
        ("", "http://127.0.0.2/v1", True),
        ("", "http://[::1]/v1", True),
        ("", "http://my.localhost/v1", True),
    ],
)
def test_what_is_asked_directly(no_proxy, url, is_direct):
    """Hosts in NO_PROXY and this machine are reached without a proxy."""
    proxy = find_proxy(URL(url), {"ALL_PROXY": _ONE, "NO_PROXY": no_proxy})

    assert (proxy is None) is is_direct


@pytest.mark.parametrize(
    ("address", "says"),
    [
        (
            "socks5://me:hunter2@one.example:1080",
            "^The proxy in HTTPS_PROXY is a socks5 proxy, which is not supported; set",
        ),
        ("socks5h://hunter2@one.example:1080", "is a socks5h proxy"),
        ("hun:ter2://one.example", "is an unknown kind of proxy"),
        ("http://:3128", "^The proxy in HTTPS_PROXY has no valid address; set"),
        ("http://me:hunter2@one.example:port", "has no valid address"),
        ("http://one.example:99999", "has no valid address"),
        ("http://[1:2:z]:3128", "has no valid address"),
        ("http://127.1:3128", "has no valid address"),
        (f"http://{'a' * 70}.example:3128", "has no valid address"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_by_name(address, says):
    """The error for an unusable proxy names the variable and a remedy, and never shows a password."""
    with pytest.raises(SettingsError, match=says) as raised:
        find_proxy(URL(_HTTPS), {"HTTPS_PROXY": address})

    assert "hunter2" not in str(raised.value)
    assert "http://HOST:PORT" in raised.value.message


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("socks://one.example", "The proxy in the system's proxy settings is a socks proxy, which is not supported; "),
        ("http://", "The proxy in the system's proxy settings has no valid address; set http://HOST:PORT"),
    ],
)
def test_an_unusable_proxy_of_the_system_is_refused_in_a_whole_sentence(monkeypatch, address, message):
    """The error for an unusable proxy of the operating system says where the proxy is set."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(proxy_module, "getproxies", lambda: {"https": address})

    with pytest.raises(SettingsError) as raised:
        find_proxy(URL(_HTTPS))

    assert raised.value.message.startswith(message)


def test_a_password_is_in_neither_the_name_nor_the_representation():
    """The text of a proxy shows its host, port and variable only."""
    proxy = find_proxy(URL(_HTTPS), {"HTTPS_PROXY": "http://me:hunter2@one.example:3128"})

    assert str(proxy) == "the proxy one.example:3128 (HTTPS_PROXY)"
    assert "hunter2" not in repr(proxy)
