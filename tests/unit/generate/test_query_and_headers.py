"""Validation of the query and headers that a recipe adds to requests."""

import pytest

from backstay.generate.credential_names import is_credential_name
from backstay.generate.query_and_headers import check_headers, check_query

_CREDENTIALS = [
    "Authorization",
    "api-key",
    "X-Api-Key",
    "XApiKey",
    "Ocp-Apim-Subscription-Key",
    "Cookie",
    "X-Amz-Security-Token",
    "CF-Access-Client-Secret",
    "key",
    "accessToken",
    "OAuth2",
    "X-RapidAPI-Key",
    "x-portkey-virtual-key",
    "X-Master-Key",
    "x-litellm-key",
    "cf-aig-authorization",
    "Authentication",
    "WWW-Auth",
    "X-Hub-Cred",
    "X-PAT",
    "X-Passphrase",
    "X-Session-Id",
    "JSESSIONID",
    "X-Amz-Signature",
    "user_key",
    "appkey",
    "hapikey",
    "access_key_id",
    "license_key",
    "key2",
    "api_pass",
    "auth_code",
    "pat",
    "sas",
    "sk",
    "code",
]


@pytest.mark.parametrize("name", _CREDENTIALS)
def test_names_that_would_carry_a_credential_are_refused(name):
    """A header or parameter for a credential is rejected with a remedy, since recipes are stored and displayed."""
    for check in (check_headers, check_query):
        with pytest.raises(ValueError, match=r"would carry a credential.*key_header.*\[headers\] of backstay.toml"):
            check({name: "x"})


_OTHERS = [
    "X-Team",
    "X-Max-Tokens",
    "max_tokens",
    "tokenizer",
    "token_limit",
    "Idempotency-Key",
    "prompt_cache_key",
    "OpenAI-Beta",
    "OpenAI-Organization",
    "HTTP-Referer",
    "X-Title",
    "api-version",
    "monkey",
    "keyword",
    "Keep-Alive",
    "author",
    "authority",
    "X-Auth-Mode",
    "x-session-affinity",
    "session-name",
    "X-Pass-Through",
    "path",
    "pattern",
    "country-code",
    "significant",
    "k",
    "_",
]


@pytest.mark.parametrize("name", _OTHERS)
def test_other_names_are_taken(name):
    """Other headers and parameters are accepted, even if their names resemble those of credentials."""
    assert not is_credential_name(name)
    check_query({name: "x"})
    check_headers({name: "x"})
