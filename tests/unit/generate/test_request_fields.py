"""What a recipe may add to each request."""

import pytest

from backstay.generate.request_fields import check_headers, check_query, is_credential_name

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
]


@pytest.mark.parametrize("name", _CREDENTIALS)
def test_names_that_would_carry_a_credential_are_refused(name):
    """In a header or the query they would be stored with the job, and shown; the message says where they belong."""
    for check in (check_headers, check_query):
        with pytest.raises(ValueError, match=r"would carry a credential.*key_header.*\[headers\] of backstay.toml"):
            check({name: "x"})


@pytest.mark.parametrize("name", ["X-Team", "X-Max-Tokens", "Idempotency-Key", "OpenAI-Beta", "api-version", "monkey"])
def test_other_names_are_taken(name):
    """Gateways ask for headers of their own; a word that only sounds like a credential is none."""
    assert not is_credential_name(name)
    check_query({name: "x"})
    check_headers({name: "x"})
