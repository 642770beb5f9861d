"""Permission to send a key to a host, and its storage."""

import pytest

from backstay.errors import ApiKeyNotAllowed, OutputUnwritable
from backstay.generate.endpoint import resolve_endpoint
from backstay.generate.key_permission import AllowedKeys, KeyUse, key_use, user_file
from backstay.generate.key_source import KeySources
from backstay.settings import KeySetting

_SET = dict.fromkeys(("OPENAI_API_KEY", "OPENROUTER_API_KEY", "SOME_TOKEN", "OLLAMA_API_KEY"), "0123456789abcdef")
_HOST, _VARIABLE = frozenset({"base_url"}), frozenset({"api_key_env"})
_BOTH = _HOST | _VARIABLE


@pytest.mark.parametrize(
    ("model", "base_url", "variable", "outside", "use"),
    [
        # Fields from outside that set the host.
        ("m", "https://evil.example/v1", None, _HOST, "evil.example OPENAI_API_KEY"),
        ("m", "https://evil.example:8443/v1", None, _HOST, "evil.example:8443 OPENAI_API_KEY"),
        ("m", "https://Evil.example.:443/v1", None, _HOST, "evil.example OPENAI_API_KEY"),
        ("m", "http://evil.example:80/v1", None, _HOST, "http://evil.example OPENAI_API_KEY"),
        ("m", "http://evil.example:443/v1", None, _HOST, "http://evil.example:443 OPENAI_API_KEY"),
        ("m", "https://[2001:db8::1]:8443/v1", None, _HOST, "[2001:db8::1]:8443 OPENAI_API_KEY"),
        ("openai:m", "https://evil.example/v1", None, _HOST, "evil.example OPENAI_API_KEY"),
        ("m", "https://evil.example/v1", "SOME_TOKEN", _BOTH, "evil.example SOME_TOKEN"),
        ("ollama:m", "https://evil.example/v1", None, _HOST, "evil.example OLLAMA_API_KEY"),
        ("m", "https://api.openai.com.evil.example/v1", None, _HOST, "api.openai.com.evil.example OPENAI_API_KEY"),
        ("m", "http://127.0.0.1.evil.example/v1", None, _HOST, "http://127.0.0.1.evil.example OPENAI_API_KEY"),
        ("m", "http://api.openai.com/v1", None, _HOST, "http://api.openai.com OPENAI_API_KEY"),  # readable in transit
        ("m", "https://openrouter.ai/api/v1", "OPENAI_API_KEY", _BOTH, "openrouter.ai OPENAI_API_KEY"),
        # Fields from outside that set the variable.
        ("openai:m", None, "SOME_TOKEN", _VARIABLE, "api.openai.com SOME_TOKEN"),
        ("m", "https://mine.example/v1", "SOME_TOKEN", _VARIABLE, "mine.example SOME_TOKEN"),
        # The provider's own host.
        ("openai:m", None, None, _BOTH, None),
        ("m", "https://api.openai.com/v1", None, _HOST, None),
        ("m", "https://API.OpenAI.com./v1", None, _HOST, None),
        ("m", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", _BOTH, None),
        # This machine.
        ("m", "http://localhost:8000/v1", None, _HOST, None),
        ("m", "http://127.0.0.2/v1", "SOME_TOKEN", _BOTH, None),
        ("m", "http://[::1]:1/v1", None, _HOST, None),
        # Set by the user, or without a key to send.
        ("m", "https://mine.example/v1", None, frozenset(), None),
        ("m", "https://mine.example/v1", "SOME_TOKEN", frozenset(), None),
        ("m", "https://evil.example/v1", "NOT_SET", _BOTH, None),
    ],
)
def test_what_has_to_be_allowed(model, base_url, variable, outside, use):
    """A file or job that sends a provider's key to another host, or another key to a provider, needs permission."""
    result = key_use(resolve_endpoint(model, base_url, variable), outside, _SET)

    assert (str(result) if result is not None else None) == use


def test_an_address_of_the_environment_is_the_users_own_word():
    """A base URL in the environment needs no permission, even for a stored job."""
    endpoint = resolve_endpoint("openai:m", None, None).in_environment({"OPENAI_BASE_URL": "https://gate.example/v1"})

    assert key_use(endpoint, _BOTH, _SET) is None


def test_a_key_that_the_settings_name_has_to_be_allowed_too():
    """A key from the settings needs the same permission as one from the environment."""
    keys = KeySources({"OPENAI_API_KEY": KeySetting(command="echo a-key")}, environ={"OPENAI_API_KEY": " "})
    endpoint = resolve_endpoint("m", "https://evil.example/v1", None)

    assert str(key_use(endpoint, _BOTH, keys.environment)) == "evil.example OPENAI_API_KEY"
    assert key_use(endpoint, _BOTH, KeySources(environ={}).environment) is None


def test_what_is_allowed_is_remembered(tmp_path, monkeypatch):
    """Permissions are stored in a file that can be edited by hand; invalid lines allow nothing."""
    monkeypatch.setenv("OPENAI_API_KEY", "0123456789abcdef")
    file = tmp_path / "folder" / "allowed-keys"
    endpoint = resolve_endpoint("m", "https://models.example/v1", None)
    with pytest.raises(ApiKeyNotAllowed, match=r"The recipe r.toml sends the key in OPENAI_API_KEY to models.example,"):
        AllowedKeys(file=file).check(endpoint, _HOST, "the recipe r.toml", _SET)

    AllowedKeys(file=file).remember(KeyUse("models.example", "OPENAI_API_KEY"))
    AllowedKeys(file=file).remember(KeyUse("a.example", "B"))

    AllowedKeys(file=file).check(endpoint, _HOST, "the recipe r.toml", _SET)
    AllowedKeys(listed=["Models.example  OPENAI_API_KEY"]).check(endpoint, _HOST, "the recipe r.toml", _SET)
    assert file.read_text() == "models.example OPENAI_API_KEY\na.example B\n"
    file.write_text("models.example\n# models.example OPENAI_API_KEY\nmodels.example OTHER_KEY\n")
    with pytest.raises(ApiKeyNotAllowed):
        AllowedKeys(file=file).check(endpoint, _HOST, "the recipe r.toml", _SET)
    AllowedKeys(file=file).remember(KeyUse("a.example", "B"))
    assert file.read_text().startswith("models.example\n# models.example OPENAI_API_KEY\n")
    assert KeyUse("a.example", "B") in AllowedKeys(file=file)


def test_a_file_of_permissions_that_cannot_be_read_is_left_alone(tmp_path):
    """A file that is no UTF-8 allows nothing, and is not replaced by a new permission."""
    file = tmp_path / "allowed-keys"
    file.write_bytes(b"models.example OPENAI_API_KEY\n\xff\n")

    assert KeyUse("models.example", "OPENAI_API_KEY") not in AllowedKeys(file=file)
    with pytest.raises(OutputUnwritable, match="cannot be read"):
        AllowedKeys(file=file).remember(KeyUse("a.example", "B"))

    assert file.read_bytes() == b"models.example OPENAI_API_KEY\n\xff\n"


@pytest.mark.parametrize("entry", ["models.example", "HTTPS://models.example", "models.example:443", "models.example."])
@pytest.mark.parametrize(
    ("base_url", "is_allowed"),
    [
        ("https://models.example/v1", True),
        ("https://models.example:443/other/v1", True),
        ("http://models.example/v1", False),
        ("http://models.example:443/v1", False),
        ("https://models.example:8443/v1", False),
    ],
)
def test_a_permission_is_for_one_way_of_asking(entry, base_url, is_allowed):
    """A permission for a host does not cover plain HTTP or another port."""
    allowed = AllowedKeys(listed=[f"{entry} OPENAI_API_KEY"])
    use = key_use(resolve_endpoint("m", base_url, None), _HOST, _SET)

    assert (use in allowed) is is_allowed
    assert use in AllowedKeys(listed=[str(use)])


def test_the_file_is_in_the_users_own_folder(tmp_path):
    """The file of permissions is in the user's home folder, since a project's folder may be untrusted."""
    assert str(user_file({"XDG_CONFIG_HOME": "/c", "HOME": "/h"})) == "/c/backstay/allowed-keys"
    assert str(user_file({"XDG_CONFIG_HOME": "relative", "HOME": "/h"})) == "/h/.config/backstay/allowed-keys"
    assert user_file({}) is None
    with pytest.raises(OutputUnwritable, match="BACKSTAY_ALLOWED_KEYS"):
        AllowedKeys().remember(KeyUse("h", "V"))
