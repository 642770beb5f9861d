"""The table of rules that classify error responses.

The first rule that matches decides. Rules are ordered by reliability: codes, structured fields, words, the status
alone. Words and most statuses are never decisive: a message may quote a prompt, and a firewall may answer a prompt
with any status. `scripts/refusals.py` writes the tables of the reference page from these rules.
"""

from collections.abc import Mapping
from functools import cache

from backstay.generate.classification_rule import ErrorKind, RequestChange, Rule, matches
from backstay.generate.error_body import ErrorBody

_BAD = {400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422}  # rejections of any kind
_REQUEST = {400, 404, 413, 415, 422}  # rejections of the request itself
_BROKEN = set(range(500, 600))  # server errors
_STRUCTURES = {
    "response_format", "tools", "tool_choice", "functions", "function_call", "json_schema", "strict", "text",
    "output_config", "output_format", "response_schema", "response_mime_type", "responseschema", "guided_json",
    "structured_outputs", "grammar", "format", "json_mode",
}  # fmt: skip
_UNSUPPORTED = {
    "unsupported_parameter", "unsupported_value", "unknown_parameter", "extra_forbidden", "unsupportedparameter",
}  # fmt: skip
_UNSUPPORTED_WORDS = (
    "not supported", "unsupported", "does not support", "unrecognized request argument", "unknown name",
    "unexpected keyword", "extra inputs are not permitted", "is deprecated for", "cannot both be", "may only be set to",
    "only 1 is allowed", "not allowed", "is not permitted",
)  # fmt: skip
_LIMIT_CODES = {
    "rate_limit_exceeded", "rate_limited", "ratelimitreached", "rate_limit_reached_error", "throttlingexception",
    "toomanyrequestsexception", "servicequotaexceededexception", "throttling", "throttling.ratequota",
    "throttling.burstrate", "throttling.allocationquota", "throttling_error", "1302", "1303",
}  # fmt: skip
_LIMIT_WORDS = ("rate limit", "ratelimit", "rate-limit", "too many requests", "throttl")
_LONG = ("per day", "perday", "per-day", "daily", "/ day", "per month", "/ month", "monthly", "今日")  # quotas

CODES = (
    # -- the sample, or the form of the request
    Rule(
        ErrorKind.ADAPTABLE, "structure_failed", "Groq", change=RequestChange.RESAMPLE,
        codes={"json_validate_failed", "tool_use_failed", "output_parse_failed"},
    ),
    Rule(
        ErrorKind.ADAPTABLE, "structure_refused", "OpenAI, vLLM, Mistral", change=RequestChange.SIMPLER,
        codes=_UNSUPPORTED, parameters=_STRUCTURES,
    ),
    Rule(
        ErrorKind.ADAPTABLE, "parameter_renamed", "OpenAI, Azure, GitHub Models", change=RequestChange.RENAME,
        codes=_UNSUPPORTED, parameters={"max_tokens"}, new_name="max_completion_tokens",
    ),
    Rule(
        ErrorKind.ADAPTABLE, "parameter_renamed", "Mistral, gateways", change=RequestChange.RENAME, codes=_UNSUPPORTED,
        parameters={"max_completion_tokens"}, new_name="max_tokens",
    ),
    Rule(
        ErrorKind.ADAPTABLE, "parameter_refused", "OpenAI, Azure, Mistral", change=RequestChange.OMIT,
        codes=_UNSUPPORTED, parameters={"*"},
    ),
    # -- the key and the account
    Rule(
        ErrorKind.ACCOUNT, "forbidden", "OpenAI, Gemini", is_decisive=True, message="network_not_allowed",
        codes={"ip_not_authorized", "api_key_ip_address_blocked", "api_key_http_referrer_blocked"},
    ),
    Rule(
        ErrorKind.ACCOUNT, "bad_key", "OpenAI, Gemini, Anthropic, Bedrock, Moonshot, DashScope, Cloudflare",
        is_decisive=True,
        codes={
            "invalid_api_key", "api_key_invalid", "authentication_error", "invalid_authentication_error",
            "incorrect_api_key_error", "invalidapikey", "invalid_key", "unauthenticated", "unrecognizedclientexception",
            "expiredtokenexception", "invalidsignatureexception", "missingauthenticationtokenexception", "10000",
        },
    ),
    Rule(
        ErrorKind.ACCOUNT, "spend_limit", "Anthropic, xAI", is_decisive=True,
        codes={
            "enforced_spend_limit_reached", "contract_spend_limit_reached", "spend_limit_reached",
            "personal-team-blocked:spending-limit",
        },
    ),
    Rule(
        ErrorKind.ACCOUNT, "quota_exhausted",
        "OpenAI, Anthropic, Together, Moonshot, Zhipu, DashScope, Gemini, LiteLLM", is_decisive=True,
        codes={
            "insufficient_quota", "billing_not_active", "billing_hard_limit_reached", "billing_error",
            "billing_disabled", "exceeded_current_quota_error", "insufficient_balance", "insufficient_credits",
            "insufficient_user_quota", "credit_limit", "arrearage", "1113", "budget_exceeded",
            "allocationquota.freetieronly",
        },
    ),
    Rule(
        ErrorKind.ACCOUNT, "unsupported_region", "OpenAI", is_decisive=True,
        codes={"unsupported_country_region_territory"},
    ),
    Rule(
        ErrorKind.ACCOUNT, "account_restricted", "Groq, OpenAI, Zhipu, Cloudflare", is_decisive=True,
        codes={"organization_restricted", "account_deactivated", "consumer_suspended", "1110", "1112", "1121", "3023"},
    ),
    Rule(
        ErrorKind.ACCOUNT, "forbidden", "Gemini, Vertex, DashScope", is_decisive=True, message="service_disabled",
        codes={"service_disabled", "api_key_service_blocked", "accessdenied.unpurchased"},
    ),
    # -- the model
    Rule(
        ErrorKind.MODEL, "model_not_allowed", "Groq, Zhipu, Cloudflare", is_decisive=True,
        codes={
            "model_permission_blocked_org", "model_permission_blocked_project", "model_terms_required",
            "key_model_access_denied", "team_model_access_denied", "1311", "5016", "5018",
        },
    ),
    Rule(
        ErrorKind.MODEL, "model_retired", "Groq, OpenAI", is_decisive=True,
        codes={"model_decommissioned", "model_deprecated", "1221"},
    ),
    Rule(
        ErrorKind.MODEL, "unknown_model", "OpenAI, Azure, Together, GitHub Models, Mistral, Zhipu", is_decisive=True,
        codes={
            "model_not_found", "model_not_available", "deploymentnotfound", "unknown_model", "invalid_model",
            "unavailable_model", "modelnotfound", "model_not_exist", "model_not_supported", "1211",
        },
    ),
    Rule(ErrorKind.MODEL, "unknown_model", "Anthropic", is_decisive=True, codes={"not_found_error"}, words=("model:",)),
    Rule(ErrorKind.MODEL, "not_a_chat_model", "Azure", is_decisive=True, codes={"operationnotsupported"}),
    # -- the item
    Rule(
        ErrorKind.ITEM, "request_too_large", "Groq, OpenAI", statuses={413, 429},
        codes={"rate_limit_exceeded", "tokens"}, words=("request too large",),
    ),
    Rule(
        ErrorKind.ITEM, "max_tokens_too_large", "OpenAI", completion_is_larger=True, codes={"context_length_exceeded"},
    ),
    Rule(
        ErrorKind.ITEM, "context_too_long", "OpenAI, llama.cpp, Anthropic, GitHub Models, Zhipu",
        codes={
            "context_length_exceeded", "exceed_context_size_error", "string_above_max_length", "request_too_large",
            "tokens_limit_reached", "input_too_long", "1261",
        },
    ),
    Rule(
        ErrorKind.ITEM, "content_filter", "Azure, OpenAI, DashScope, Zhipu",
        codes={
            "content_filter", "responsibleaipolicyviolation", "content_policy_violation", "invalid_prompt",
            "data_inspection_failed", "datainspectionfailed", "moderation_blocked", "prohibited_content", "1301",
        },
    ),
    # -- transient
    Rule(ErrorKind.ACCOUNT, "daily_quota", "Bedrock", codes=_LIMIT_CODES, words=_LONG, has_time=False),
    Rule(
        ErrorKind.TRANSIENT, "rate_limited", "Bedrock, DashScope, GitHub Models", is_limit=True, codes=_LIMIT_CODES,
        reason="too many requests",
    ),
    Rule(
        ErrorKind.TRANSIENT, "rate_limited", "OpenAI, Azure", is_limit=True, codes={"ramp_limit_exceeded"},
        reason="the rate grew too fast",
    ),
    Rule(
        ErrorKind.TRANSIENT, "overloaded", "Anthropic, Moonshot, Mistral, Bedrock, Zhipu, Hugging Face",
        codes={
            "overloaded_error", "engine_overloaded_error", "service_tier_capacity_exceeded", "overloaded",
            "capacity_exceeded", "serviceunavailableexception", "modelnotreadyexception", "1305", "1312", "3040",
        },
    ),
    Rule(ErrorKind.TRANSIENT, "server_error", "Bedrock", codes={"modelerrorexception", "modeltimeoutexception"}),
)  # fmt: skip

FIELDS = (
    Rule(ErrorKind.ITEM, "moderation", "OpenRouter", statuses={400, 403}, field=("metadata.reasons", "")),
    Rule(
        ErrorKind.MODEL, "quota_exhausted", "Gemini", field=("violations.quotaid", ""), words=("limit: 0,",),
        message="no_quota",
    ),
    Rule(ErrorKind.ACCOUNT, "daily_quota", "Gemini", field=("violations.quotaid", "perday"), has_time=False),
    Rule(
        ErrorKind.TRANSIENT, "rate_limited", "Gemini", is_limit=True, field=("violations.quotaid", "perday"),
        reason="per-day quota",
    ),
    Rule(
        ErrorKind.TRANSIENT, "rate_limited", "Gemini", is_limit=True, field=("violations.quotaid", "perminute"),
        reason="per-minute quota",
    ),
    Rule(
        ErrorKind.TRANSIENT, "rate_limited", "Gemini, Vertex", is_limit=True, statuses={429},
        field=("details.retrydelay", ""), reason="quota",
    ),
    Rule(
        ErrorKind.TRANSIENT, "rate_limited", "Anthropic, OpenAI", is_limit=True, statuses={429},
        header=("x-should-retry", "true"), reason="too many requests",
    ),
    Rule(
        ErrorKind.TRANSIENT, "server_error", "Anthropic, OpenAI", header=("x-should-retry", "true"),
        reason="it asks to try again",
    ),
    Rule(
        ErrorKind.ACCOUNT, "usage_limit", "Anthropic, OpenAI", statuses={429}, has_time=False,
        header=("x-should-retry", "false"),
    ),
    Rule(
        ErrorKind.UNKNOWN, "server_error", "Anthropic, OpenAI", statuses=_BROKEN, header=("x-should-retry", "false"),
        message="not_to_be_retried",
    ),
    Rule(ErrorKind.ACCOUNT, "firewall", "Cloudflare, nginx", statuses={400, 403, 406}, is_page=True),
    Rule(
        ErrorKind.ADAPTABLE, "structure_refused", "OpenAI, vLLM", change=RequestChange.SIMPLER, statuses=_REQUEST,
        parameters=_STRUCTURES,
    ),
)  # fmt: skip

WORDS = (
    # -- the key and the account
    Rule(ErrorKind.ACCOUNT, "bad_key", "Gemini", statuses=_BAD, words=("reported as leaked",), message="key_leaked"),
    Rule(
        ErrorKind.ACCOUNT, "bad_key", "xAI, Gemini, Cohere, OpenRouter", statuses=_BAD,
        words=(
            "api key not valid", "incorrect api key", "invalid api key", "api key expired", "api key has expired",
            "api key not found", "invalid api token", "no auth credentials found", "invalid access token",
        ),
    ),
    Rule(
        ErrorKind.ACCOUNT, "spend_limit", "Anthropic, xAI, Fireworks, OpenRouter",
        words=(
            "api usage limits", "monthly spend limit", "monthly spending limit", "raise your spending limit",
            "key limit exceeded",
        ),
    ),
    Rule(
        ErrorKind.ACCOUNT, "quota_exhausted", "OpenRouter", statuses={402}, words=("fewer max_tokens",),
        message="credits_or_max_tokens",
    ),
    Rule(
        ErrorKind.TRANSIENT, "rate_limited", "Gemini", is_limit=True, statuses={429},
        words=("exceeded your current quota",), has_time=True, reason="quota",
    ),
    Rule(
        ErrorKind.ACCOUNT, "quota_exhausted", "OpenAI, Gemini", statuses={400, 403, 429},
        words=("exceeded your current quota", "plan and billing", "billing details"),
    ),
    Rule(
        ErrorKind.ACCOUNT, "quota_exhausted", "Anthropic, xAI, Zhipu, Hugging Face, Bedrock",
        words=(
            "credit balance is too low", "insufficient balance", "insufficient credits", "insufficient funds",
            "insufficient quota", "out of credits", "any credits or licenses", "credit limit exceeded",
            "account is not active", "monthly included credits", "billing hard limit", "budget has been exceeded",
            "余额不足", "欠费",
        ),
    ),
    Rule(
        ErrorKind.ACCOUNT, "unsupported_region", "Gemini, OpenAI, Anthropic", statuses=_BAD,
        words=(
            "location is not supported", "country, region, or territory", "not available in your",
            "not supported in your", "unsupported country",
        ),
    ),
    Rule(
        ErrorKind.ACCOUNT, "account_restricted", "Moonshot, Fireworks, Anthropic, Groq",
        words=(
            "account…is suspended", "account…has been suspended", "organization has been", "account…deactivated",
            "account has been disabled", "account…banned",
        ),
    ),
    Rule(
        ErrorKind.ACCOUNT, "privacy_settings", "OpenRouter", statuses={404},
        words=("data policy", "no allowed providers", "providers have been ignored"),
    ),
    # -- the item, or the form of the request
    Rule(ErrorKind.ITEM, "request_too_large", "gateways of Groq and OpenAI", words=("request too large for",)),
    Rule(
        ErrorKind.MODEL, "streams_only", "DashScope, Fireworks, gateways", statuses=_REQUEST,
        words=(
            "only support stream", "only supports stream", "only stream", "must have stream", "for non-streaming calls",
            "enable the stream parameter", "streaming is required", "requires streaming", "stream must be set to true",
        ),
    ),
    Rule(
        ErrorKind.ITEM, "max_tokens_too_large", "vLLM, OpenAI, Anthropic, Groq, DeepSeek, DashScope, Vertex, Bedrock",
        statuses=_REQUEST,
        words=(
            "max_tokens is too large", "max_completion_tokens' is too large", "maximum allowed number of output tokens",
            "max_tokens` must be less than", "invalid max_tokens value", "range of max_tokens", "maxoutputtokens value",
            "maximum tokens you requested exceeds", "error: `max_new_tokens` must be",
        ),
    ),
    Rule(
        ErrorKind.ITEM, "max_tokens_too_large", "vLLM", statuses=_REQUEST, completion_is_larger=True,
        words=("maximum context length",),
    ),
    Rule(
        ErrorKind.ITEM, "context_too_long",
        "Anthropic, vLLM, SGLang, Bedrock, Gemini, Mistral, DashScope, Moonshot, xAI, LM Studio, Hugging Face, Ollama",
        statuses=_REQUEST | {500},
        words=(
            "context length", "context window", "context size", "context limit", "maximum context", "is too long",
            "too many tokens", "maximum model length", "max_model_len", "exceeds the maximum number of tokens",
            "range of input length", "too large for model", "maximum prompt length", "exceeded model token limit",
            "tokens too long", "maximum allowed token length", "maximum allowed length", "request body too large",
            "when context the overflows", "when context overflows", "inputs…max_new_tokens…must be",
            "inputs` must have less",
        ),
    ),
    Rule(
        ErrorKind.ITEM, "moderation", "OpenRouter, OpenAI", statuses={400, 403},
        words=("input was flagged", "requires moderation", "flagged as potentially", "flagged by"),
    ),
    Rule(
        ErrorKind.ITEM, "content_filter", "DeepSeek, Anthropic, xAI, Gemini, Moonshot, LiteLLM",
        statuses={400, 403, 422, 451, 500},
        words=(
            "content filter", "content_filter", "content management policy", "content policy", "safety system",
            "content exists risk", "inappropriate content", "usage guidelines", "usage policies", "prohibited content",
            "considered high risk", "blocked by…safety", "violated guardrail", "敏感",
        ),
    ),
    Rule(
        ErrorKind.ADAPTABLE, "structure_failed", "Groq, behind gateways", change=RequestChange.RESAMPLE,
        statuses=_REQUEST,
        words=("failed to generate json", "failed to call a function", "tool call validation failed"),
    ),
    Rule(
        ErrorKind.ADAPTABLE, "structure_refused", "vLLM, SGLang, Gemini, DeepSeek, Ollama, OpenRouter, llama.cpp",
        change=RequestChange.SIMPLER, statuses=_REQUEST,
        words=(
            "response_format", "response format", "json_schema", "json schema", "json_object", "json mode",
            "structured output", "tool_choice", "tool choice", "tool use", "function calling", "response_schema",
            "response schema", "responseschema", "response_mime_type", "response mime type", "guided decoding",
            "guided_json", "grammar", "output_config", "schema is too complex", "too many states", "support tools",
        ),
    ),
    Rule(
        ErrorKind.ADAPTABLE, "structure_refused", "llama.cpp, SGLang, OpenRouter", change=RequestChange.SIMPLER,
        statuses=_BROKEN,
        words=(
            "parse grammar", "invalid grammar", "json_schema…support", "json schema…support", "grammar…support",
            "response_format…support", "structured output…support", "guided decoding…support", "tools…not support",
            "support…requested parameters", "support…json_schema", "support…response_format", "support…structured",
        ),
    ),
    Rule(
        ErrorKind.ADAPTABLE, "structure_refused", "OpenRouter", change=RequestChange.SIMPLER, statuses={404},
        words=("requested parameters",),
    ),
    Rule(
        ErrorKind.ADAPTABLE, "parameter_renamed", "gateways of OpenAI", change=RequestChange.RENAME, statuses=_REQUEST,
        parameters={"max_tokens"}, words=_UNSUPPORTED_WORDS, new_name="max_completion_tokens",
    ),
    Rule(
        ErrorKind.ADAPTABLE, "parameter_renamed", "older servers", change=RequestChange.RENAME, statuses=_REQUEST,
        parameters={"max_completion_tokens"}, words=_UNSUPPORTED_WORDS, new_name="max_tokens",
    ),
    Rule(
        ErrorKind.ADAPTABLE, "parameter_refused", "Anthropic, Bedrock, Gemini, Groq, Moonshot, xAI",
        change=RequestChange.OMIT, statuses=_REQUEST, parameters={"*"}, words=_UNSUPPORTED_WORDS,
    ),
    # -- the model
    Rule(
        ErrorKind.MODEL, "not_a_chat_model", "OpenAI, Ollama", statuses=_REQUEST,
        words=(
            "not a chat model", "only supported in v1/", "not supported in the v1/chat", "does not support chat",
            "not supported with the chat completions",
        ),
    ),
    Rule(
        ErrorKind.MODEL, "model_retired", "Groq, Gemini, Vertex", statuses={400, 404, 410},
        words=(
            "decommissioned", "model…has been deprecated", "model…retired", "no longer available", "end of life",
            "end of its life",
        ),
    ),
    Rule(
        ErrorKind.MODEL, "unknown_model", "Ollama, Gemini, OpenRouter, LiteLLM, Bedrock, LM Studio, Vertex",
        statuses={400, 403, 404, 422, 500},
        words=(
            "model…does not exist", "model not exist", "not found the model", "model…not found", "model…not_found",
            "models/…is not found", "unknown model", "invalid model", "no such model", "not a valid model",
            "model identifier is invalid", "no endpoints found", "no models loaded", "failed to load model",
            "error loading model", "unable to load model", "non-serverless model", "on-demand throughput",
            "model…is not available", "not supported by any provider",
        ),
    ),
    Rule(
        ErrorKind.MODEL, "model_not_allowed", "Bedrock, Hugging Face", statuses={400, 403, 404},
        words=("access to the model", "access to model", "access to this model", "model access", "gated repo"),
    ),
    # -- transient, with various statuses
    Rule(
        ErrorKind.TRANSIENT, "model_loading", "llama.cpp, Hugging Face, Ollama, LM Studio",
        words=("loading model", "is loading", "currently loading", "model is not ready"), reason="the model is loading",
    ),
    Rule(ErrorKind.ACCOUNT, "daily_quota", "Cloudflare, OpenRouter", statuses={429}, words=_LONG, has_time=False),
    Rule(
        ErrorKind.TRANSIENT, "rate_limited", "GitHub, gateways", is_limit=True, statuses={403, 404, 500},
        words=_LIMIT_WORDS, reason="too many requests",
    ),
    # Not marked as a limit, for which an item would wait without bound: a 400 concerns the request, and may quote it.
    Rule(
        ErrorKind.TRANSIENT, "rate_limited", "gateways", statuses={400}, words=_LIMIT_WORDS, reason="too many requests",
    ),
    Rule(
        ErrorKind.TRANSIENT, "overloaded", "gateways", statuses={400, 403, 404, 500},
        words=("overloaded", "over capacity", "at capacity", "server is busy", "temporarily unavailable"),
    ),
)  # fmt: skip

STATUSES = (
    Rule(ErrorKind.ACCOUNT, "redirected", statuses=set(range(300, 400))),
    Rule(ErrorKind.ACCOUNT, "bad_key", is_decisive=True, statuses={401}),
    Rule(ErrorKind.ACCOUNT, "quota_exhausted", "DeepSeek, OpenRouter", is_decisive=True, statuses={402}),
    Rule(ErrorKind.ACCOUNT, "forbidden", statuses={403}),
    Rule(ErrorKind.ACCOUNT, "unknown_address", statuses={404}),
    Rule(ErrorKind.ACCOUNT, "no_chat_completions", statuses={405, 501}),
    Rule(ErrorKind.ACCOUNT, "proxy_refused", is_decisive=True, statuses={407}),
    Rule(ErrorKind.TRANSIENT, "http_408", statuses={408}, reason="it timed out"),
    Rule(ErrorKind.TRANSIENT, "http_409", statuses={409}, reason="a conflict"),
    Rule(ErrorKind.MODEL, "model_retired", statuses={410}),
    Rule(ErrorKind.ITEM, "context_too_long", "nginx", statuses={413}),
    Rule(ErrorKind.TRANSIENT, "server_error", "Hugging Face", statuses={424}),
    Rule(ErrorKind.TRANSIENT, "http_425", statuses={425}, reason="too early"),
    Rule(ErrorKind.TRANSIENT, "rate_limited", is_limit=True, statuses={429}, reason="too many requests"),
    Rule(ErrorKind.ITEM, "content_filter", "Cohere", statuses={498}),
    Rule(ErrorKind.TRANSIENT, "overloaded", statuses={503, 529}),
    Rule(ErrorKind.TRANSIENT, "server_error", statuses=_BROKEN, reason="an error of its own"),
    Rule(ErrorKind.UNKNOWN, "bad_request", statuses=set(range(400, 500))),
)

RULES = CODES + FIELDS + WORDS + STATUSES


def find_rule(status: int, error: ErrorBody, headers: Mapping[str, str], *, has_time: bool) -> Rule | None:
    """Return the first rule that matches, or None; header names are lower-case."""
    for rule in rules_for_status(status):
        if matches(rule, error, headers, has_time=has_time):
            return rule
    return None


@cache
def rules_for_status(status: int) -> tuple[Rule, ...]:
    """Return the rules that may match a response with a status, in order."""
    return tuple(rule for rule in RULES if not rule.statuses or status in rule.statuses)
