"""What the user reads about each refusal: the facts, and what to do. Nothing of the answer is in it."""

_ADDRESS = "If the base URL is wrong (it often ends in /v1), resume with --base-url and the right one"

MESSAGES = {
    # -- the key and the account
    "no_key": "No key is set: {host} wants one ({status}); put it into {key}, then resume",
    "bad_key": "{host} does not accept the key in {key} ({status}); put a valid one there, then resume",
    "key_leaked": "{host} has blocked the key in {key} as leaked ({status}); put a new one there, then resume",
    "network_not_allowed": (
        "{host} does not allow the key in {key} from this network ({status}); allow its address there, then resume"
    ),
    "quota_exhausted": (
        "The quota or balance at {host} is used up ({status}); top it up or raise its limit, then resume"
    ),
    "credits_or_max_tokens": (
        "The credits at {host} do not cover a call of this size ({status}); top them up and resume, "
        "or discard the job and run it with a lower `max_tokens`"
    ),
    "no_quota": (
        "The plan at {host} has no quota for {model} ({status}); change the plan, then resume, "
        "or discard the job and run it with another model"
    ),
    "daily_quota": (
        "The daily or monthly quota at {host} is used up ({status}); raise it, or resume in the next period"
    ),
    "usage_limit": (
        "A usage limit at {host} is reached, and it asks not to try again ({status}); raise the limit, or resume later"
    ),
    "spend_limit": "The spending limit at {host} is reached ({status}); raise it there, or resume in its next period",
    "account_restricted": (
        "{host} has restricted the account of the key in {key} ({status}); settle that with the provider, then resume"
    ),
    "unsupported_region": (
        "{host} does not serve the country or network of this machine ({status}); resume from another, "
        "or discard the job and use another provider"
    ),
    "service_disabled": (
        "The account of the key in {key} has not enabled the service at {host} ({status}); enable it, then resume"
    ),
    "forbidden": (
        "{host} does not allow this ({status}): the key in {key} may lack the right to use {model}, "
        "or this country or network is blocked; change that, then resume"
    ),
    "firewall": (
        "{host} answered with a web page ({status}), as a firewall does; "
        "ask its operator to let these requests through, then resume"
    ),
    "privacy_settings": (
        "No provider of {model} at {host} is allowed by the account's privacy and provider settings ({status}); "
        "change them there, then resume"
    ),
    "proxy_refused": (
        "The proxy {proxy} on the way to {host} wants other credentials ({status}); "
        "correct them in the environment, then resume"
    ),
    "redirected": "{host} redirects to another address ({status}), which is not followed. " + _ADDRESS,
    "unknown_address": "There is nothing at {url} ({status}). " + _ADDRESS,
    "no_chat_completions": "The server does not offer chat completions at {url} ({status}). " + _ADDRESS,
    # -- the model
    "unknown_model": (
        "{host} has no model {model!r} ({status}); if the name is wrong, discard the job and run it "
        "with the right one; if the model has to be loaded or allowed first, do that, then resume"
    ),
    "model_not_allowed": (
        "The key in {key} has no access to the model {model!r} at {host} ({status}); "
        "request it there, or accept the model's terms, then resume"
    ),
    "model_retired": (
        "{host} no longer offers the model {model!r} ({status}); discard the job and run it with another model"
    ),
    "not_a_chat_model": (
        "The model {model!r} at {host} does not do chat completions ({status}); discard the job and run it with another"
    ),
    "streams_only": (
        "The model {model!r} at {host} only streams its answers ({status}); discard the job and run it "
        "with `stream = true` in the recipe"
    ),
    # -- the item
    "request_too_large": (
        "The request is larger than {host} allows per minute ({status}); shorten the template or this item, "
        "lower `max_tokens`, or raise the limit"
    ),
    "max_tokens_too_large": "`max_tokens` is more than {model} at {host} can write ({status}); lower it in the recipe",
    "context_too_long": (
        "The prompt is longer than {model} at {host} takes ({status}); shorten the template or this item"
    ),
    "content_filter": "The content filter of {host} refused the prompt ({status}); change the wording of this item",
    "moderation": "The moderation of {host} flagged the prompt ({status}); change the wording of this item",
    # -- to be asked differently
    "structure_failed": "{model} at {host} did not keep to the structure that was asked for ({status}); try again",
    "structure_refused": (
        "{host} does not give the structured output that was asked for ({status}); "
        "set `structured` to a plainer one in the recipe"
    ),
    "parameter_renamed": "{model} at {host} takes {parameter} as `{instead}` ({status}); set that in `[parameters]`",
    "parameter_refused": "{model} at {host} does not take {parameter} ({status}); leave it out of the recipe",
    # -- what passes
    "rate_limited": "Rate limited by {host} ({status}); wait, or lower `--rpm` and `--tpm`",
    "overloaded": "{host} is overloaded ({status}); wait until it recovers",
    "model_loading": "The model {model!r} at {host} is still loading ({status}); wait until it is ready",
    "server_error": "{host} failed with an error of its own ({status}); wait until it works again",
    "http_408": "{host} timed out ({status}); wait until it works again",
    "http_409": "{host} reports a conflict ({status}); try again",
    "http_425": "{host} is not ready for the request ({status}); try again",
    # -- unknown
    "not_to_be_retried": (
        "{host} failed and asks not to try again ({status}); `backstay failed JOB --raw` shows what it said"
    ),
    "bad_request": "{host} refused the request ({status}); `backstay failed JOB --raw` shows what it said",
    # -- no error status
    "html_answer": "{url} answered with a web page instead of JSON. " + _ADDRESS,
    "html_passing": "{url} answered with a web page instead of JSON; wait until it works again",
    "broken_json": "{host} answered {status} with something that is not JSON; try again",
    "unreachable": "Nothing answers at {base_url} ({why}); start the server, then resume. " + _ADDRESS,
}
