"""Messages about error responses: the fact, then the remedy. They quote nothing of the response."""

MESSAGES = {
    # -- the key and the account
    "no_key": "No key is set: {host} requires one ({status}); put it into {variable}{restart}{or_file}, then {go_on}",
    "bad_key": "{host} does not accept {key} ({status}); {put} a valid one{there}{restart}{or_file}, then {go_on}",
    "key_leaked": (
        "{host} has blocked {key} as leaked ({status}); {put} a new one{there}{restart}{or_file}, then {go_on}"
    ),
    "network_not_allowed": (
        "{host} does not allow {key} from this network ({status}); allow its address there, then {go_on}"
    ),
    "quota_exhausted": (
        "The quota or balance at {host} is used up ({status}); top it up or raise its limit, then {go_on}"
    ),
    "credits_or_max_tokens": (
        "The credits at {host} do not cover a call of this size ({status}); top them up and {go_on}, "
        "or {use} a lower `max_tokens`"
    ),
    "no_quota": (
        "The plan at {host} has no quota for {model} ({status}); change the plan, then {go_on}, or {use} another model"
    ),
    "daily_quota": (
        "The daily or monthly quota at {host} is used up ({status}); raise it, or {go_on} in the next period"
    ),
    "usage_limit": (
        "A usage limit at {host} is reached, and it asks not to retry ({status}); raise the limit, or {go_on} later"
    ),
    "spend_limit": "The spending limit at {host} is reached ({status}); raise it there, or {go_on} in its next period",
    "account_restricted": (
        "{host} has restricted the account of {key} ({status}); settle that with the provider, then {go_on}"
    ),
    "unsupported_region": (
        "{host} does not serve the country or network of this machine ({status}); {go_on} from another, "
        "or {use} another provider"
    ),
    "service_disabled": (
        "The account of {key} has not enabled the service at {host} ({status}); enable it, then {go_on}"
    ),
    "forbidden": (
        "{host} does not allow this ({status}): {key} may lack the right to use {model}, "
        "or this country or network is blocked; change that, then {go_on}"
    ),
    "firewall": (
        "{host} answered with a web page ({status}), as a firewall does; "
        "ask its operator to let these requests through, then {go_on}"
    ),
    "privacy_settings": (
        "No provider of {model} at {host} is allowed by the account's privacy and provider settings ({status}); "
        "change them there, then {go_on}"
    ),
    "proxy_refused": (
        "The proxy {proxy} on the way to {host} rejected its credentials ({status}); "
        "correct them in the environment{restart}, then {go_on}"
    ),
    "redirected": "{host} redirects to another address ({status}), which is not followed. {address}",
    "unknown_address": "{url} does not exist ({status}). {address}",
    "no_chat_completions": "The server does not offer chat completions at {url} ({status}). {address}",
    # -- the model
    "unknown_model": (
        "{host} has no model {model!r} ({status}); if the name is wrong, {use} "
        "the right one; if the model has to be loaded or allowed first, do that, then {go_on}"
    ),
    "model_not_allowed": (
        "{host} gives {key} no access to the model {model!r} ({status}); "
        "request it there, or accept the model's terms, then {go_on}"
    ),
    "model_retired": ("{host} no longer offers the model {model!r} ({status}); {use} another model"),
    "not_a_chat_model": ("The model {model!r} at {host} does not support chat completions ({status}); {use} another"),
    "streams_only": (
        "The model {model!r} at {host} only streams its answers ({status}); {use} `stream = true` in the recipe"
    ),
    # -- the item
    "request_too_large": (
        "The request is larger than {host} allows per minute ({status}); raise the limit there, or {start} a shorter "
        "template, a shorter item or a lower `max_tokens`"
    ),
    "max_tokens_too_large": "`max_tokens` is more than {model} at {host} can write ({status}); {start} a lower one",
    "context_too_long": ("The prompt is too long for {model} at {host} ({status}); {start} a shorter template or item"),
    "content_filter": (
        "The content filter of {host} refused the prompt ({status}); {start} another wording of this item"
    ),
    "moderation": "The moderation of {host} flagged the prompt ({status}); {start} another wording of this item",
    # -- the form of the request
    "structure_failed": "{model} at {host} did not follow the requested structure ({status}); try again",
    "structure_refused": (
        "{host} does not support the requested structured output ({status}); {start} a simpler `structured`"
    ),
    "parameter_renamed": (
        "{model} at {host} accepts {parameter} only as `{new_name}` ({status}); {start} that in `[parameters]`"
    ),
    "parameter_refused": "{model} at {host} does not accept {parameter} ({status}); {start} a recipe without it",
    # -- transient
    "rate_limited": "Rate limited by {host} ({status}); {wait}",
    "overloaded": "{host} is overloaded ({status}); wait until it recovers",
    "model_loading": "The model {model!r} at {host} is still loading ({status}); wait until it is ready",
    "server_error": "{host} failed with a server error ({status}); wait until it works again",
    "http_408": "{host} timed out ({status}); wait until it works again",
    "http_409": "{host} reports a conflict ({status}); try again",
    "http_425": "{host} is not ready for the request ({status}); try again",
    # -- unknown
    "not_to_be_retried": "{host} failed and asks not to retry ({status})",
    "bad_request": "{host} rejected the request ({status})",
    # -- no error status
    "html_answer": "{url} answered with a web page instead of JSON. {address}",
    "html_transient": "{url} answered with a web page instead of JSON; wait until it works again",
    "broken_json": "{host} answered {status} with something that is not JSON; try again",
    "unreachable_provider": (
        "Nothing answers at {base_url} ({why}); check this machine's connection or proxy, then {go_on}"
    ),
    "unreachable": "Nothing answers at {base_url} ({why}); start the server, then {go_on}. {address}",
}

_JOB_WORDS = {
    "go_on": "resume",
    "use": "resume with",
    "start": "retry with",
    "wait": "wait, or pause the job and resume it at a lower rate",
    "address": "If the base URL is wrong (it often ends in /v1), resume with the right one",
}

_PROBE_WORDS = {
    "go_on": "try again",
    "use": "use",
    "start": "use",
    "wait": "wait",
    "address": "If the base URL is wrong (it often ends in /v1), use the right one",
}

# A probe sends a short prompt of its own.
_PROBE_MESSAGES = {
    "request_too_large": (
        "The request is larger than {host} allows per minute ({status}); raise the limit there, or use a lower "
        "`max_tokens`"
    ),
    "context_too_long": "The prompt is too long for {model} at {host} ({status}); use another model",
    "content_filter": "The content filter of {host} refused the prompt ({status}); use another model",
    "moderation": "The moderation of {host} flagged the prompt ({status}); use another model",
}


def message(key: str, /, *, is_probe: bool = False, **facts: object) -> str:
    """Return the message under a key, with a remedy for a job or, if `is_probe`, for a probe, which has no job."""
    template = _PROBE_MESSAGES.get(key, MESSAGES[key]) if is_probe else MESSAGES[key]
    return template.format(**(_PROBE_WORDS if is_probe else _JOB_WORDS), **facts)
