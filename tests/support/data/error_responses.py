"""Error responses as providers, gateways and servers send them, each with its expected classification."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from backstay.generate.classification_rule import ErrorKind, RequestChange

MODEL = "m"
"""The model of all requests."""
NOW = datetime(2025, 6, 2, 12, 0, 0, tzinfo=UTC)
"""The time of all responses, some of which name a date."""


@dataclass(frozen=True, slots=True)
class Row:
    """An error response with its expected classification."""

    name: str
    status: int
    body: Any
    """A JSON value, text, or bytes."""
    kind: ErrorKind
    code: str
    decisive: bool = False
    limit: bool = False
    change: RequestChange | None = None
    parameter: str | None = None
    new_name: str | None = None
    retry_after: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    has_key: bool = True
    most_calls: int | None = None
    """The most calls of a job with one item, if the kind alone determines it."""

    @property
    def text(self) -> str:
        """The body as text."""
        if isinstance(self.body, bytes):
            return self.body.decode("utf-8", "replace")
        return self.body if isinstance(self.body, str) else json.dumps(self.body)


def _item(name: str, status: int, body: Any, code: str, **more: Any) -> Row:
    return Row(name, status, body, ErrorKind.ITEM, code, most_calls=1, **more)


def _account(name: str, status: int, body: Any, code: str, *, decisive: bool = False, **more: Any) -> Row:
    return Row(name, status, body, ErrorKind.ACCOUNT, code, decisive, most_calls=1 if decisive else None, **more)


def _model(name: str, status: int, body: Any, code: str, *, decisive: bool = True, **more: Any) -> Row:
    return Row(name, status, body, ErrorKind.MODEL, code, decisive, most_calls=1 if decisive else None, **more)


def _transient(name: str, status: int, body: Any, code: str, **more: Any) -> Row:
    return Row(name, status, body, ErrorKind.TRANSIENT, code, **more)


def _simpler(name: str, status: int, body: Any, **more: Any) -> Row:
    return Row(
        name,
        status,
        body,
        ErrorKind.ADAPTABLE,
        "structure_refused",
        change=RequestChange.SIMPLER,
        most_calls=3,
        **more,
    )


def _resample(name: str, status: int, body: Any) -> Row:
    return Row(name, status, body, ErrorKind.ADAPTABLE, "structure_failed", change=RequestChange.RESAMPLE, most_calls=3)


def _rename(name: str, status: int, body: Any, parameter: str, new_name: str) -> Row:
    return Row(
        name, status, body, ErrorKind.ADAPTABLE, "parameter_renamed",
        change=RequestChange.RENAME, parameter=parameter,
        new_name=new_name, most_calls=3,
    )  # fmt: skip


def _omit(name: str, status: int, body: Any, parameter: str) -> Row:
    return Row(
        name,
        status,
        body,
        ErrorKind.ADAPTABLE,
        "parameter_refused",
        change=RequestChange.OMIT,
        parameter=parameter,
        most_calls=3,
    )


def _openai(message: str, type_: str = "invalid_request_error", code: Any = None, param: Any = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": type_, "param": param, "code": code}}


def _anthropic(type_: str, message: str, **details: str) -> dict[str, Any]:
    error: dict[str, Any] = {"type": type_, "message": message}
    if details:
        error["details"] = details
    return {"type": "error", "error": error, "request_id": "req_1"}


def _google(code: int, status: str, message: str, *details: dict[str, Any]) -> list[Any]:
    return [{"error": {"code": code, "message": message, "status": status, "details": list(details)}}]


def _quota(identity: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": identity}]}


def _delay(text: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": text}


def _reason(text: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": text, "domain": "googleapis.com"}


def _router(code: int, message: str, **metadata: Any) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message}
    if metadata:
        error["metadata"] = metadata
    return {"error": error, "user_id": "user_1"}


def _page(title: str) -> str:
    return f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"


_NGINX = "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n</body>\r\n</html>"
_GEMINI_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this error, "
    "head to: https://ai.google.dev/gemini-api/docs/rate-limits.\n* Quota exceeded for metric: {0}, limit: {1}, "
    "model: m\n"
)
_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"

KEYS = (
    _account(
        "OpenAI: wrong key", 401, _openai("Incorrect API key provided: sk-x.", code="invalid_api_key"), "bad_key",
        decisive=True,
    ),
    _account(
        "OpenAI: no key was sent", 401, _openai("You didn't provide an API key."), "no_key", decisive=True,
        has_key=False,
    ),
    _account(
        "OpenRouter: no key was sent", 401, _router(401, "No auth credentials found"), "no_key", decisive=True,
        has_key=False,
    ),
    _account("OpenRouter: unknown user", 401, _router(401, "User not found."), "bad_key", decisive=True),
    _account(
        "Anthropic: wrong key", 401, _anthropic("authentication_error", "invalid x-api-key"), "bad_key", decisive=True,
    ),
    _account(
        "Azure: wrong key", 401, {"error": {"code": "401", "message": "Access denied due to invalid subscription "
        "key or wrong API endpoint."}}, "bad_key", decisive=True,
    ),
    _account(
        "Gemini: wrong key", 400, _google(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API "
        "key.", _reason("API_KEY_INVALID")), "bad_key", decisive=True,
    ),
    _account(
        "Gemini: wrong key, without details", 400, _google(400, "INVALID_ARGUMENT", "API key not valid. Please "
        "pass a valid API key."), "bad_key",
    ),
    _account(
        "Gemini: expired key", 400, _google(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."),
        "bad_key",
    ),
    _account(
        "Gemini: leaked key", 403, _google(403, "PERMISSION_DENIED", "Your API key was reported as leaked. Please "
        "use another API key."), "bad_key",
    ),
    _account(
        "Vertex: expired token", 401, _google(401, "UNAUTHENTICATED", "Request had invalid authentication "
        "credentials."), "bad_key", decisive=True,
    ),
    _account(
        "xAI: wrong key", 400, {"code": "Client specified an invalid argument", "error": "Incorrect API key "
        "provided: xa***ey. You can obtain an API key from https://console.x.ai."}, "bad_key",
    ),
    _account("Mistral: wrong key", 401, {"detail": "Unauthorized"}, "bad_key", decisive=True),
    _account("Cohere: wrong key", 401, {"message": "invalid api token"}, "bad_key", decisive=True),
    _account(
        "Moonshot: wrong key", 401, _openai("Invalid Authentication", "invalid_authentication_error"), "bad_key",
        decisive=True,
    ),
    _account(
        "Zhipu: wrong key", 401, {"error": {"code": "1002", "message": "Authentication Token 非法"}}, "bad_key",
        decisive=True,
    ),
    _account(
        "DashScope: wrong key", 401, {"code": "InvalidApiKey", "message": "Invalid API-key provided."}, "bad_key",
        decisive=True,
    ),
    _account(
        "Bedrock: wrong token", 403, {"message": "The security token included in the request is invalid."},
        "bad_key", decisive=True, headers={"x-amzn-ErrorType": "UnrecognizedClientException:http://internal.amazon.com/"},
    ),
    _account(
        "Cloudflare: wrong token", 403, {"success": False, "errors": [{"code": 10000, "message":
        "Authentication error"}]}, "bad_key", decisive=True,
    ),
    _account(
        "Cohere behind a gateway: wrong key", 403, {"error": "status 401: invalid api token"}, "bad_key",
    ),
    _account("a web page with status 401", 401, _NGINX.format("401 Authorization Required"), "bad_key", decisive=True),
    _account(
        "OpenAI: network", 401, _openai("Your IP is not authorized for this project.", code="ip_not_authorized"),
        "forbidden", decisive=True,
    ),
    _account(
        "Gemini: service not enabled", 403, _google(403, "PERMISSION_DENIED", "Generative Language API has not "
        "been used in project 1 before or it is disabled.", _reason("SERVICE_DISABLED")), "forbidden", decisive=True,
    ),
)  # fmt: skip

BALANCE = (
    _account(
        "OpenAI: balance", 429, _openai("You exceeded your current quota, please check your plan and billing "
        "details.", "insufficient_quota", "insufficient_quota"), "quota_exhausted", decisive=True,
    ),
    _account(
        "OpenAI: balance, and a Retry-After", 429, _openai("You exceeded your current quota.", "insufficient_quota",
        "insufficient_quota"), "quota_exhausted", decisive=True, retry_after=5.0, headers={"Retry-After": "5"},
    ),
    _account(
        "OpenAI: not active", 429, _openai("Your account is not active, please check your billing details on our "
        "website.", "billing_not_active", "billing_not_active"), "quota_exhausted", decisive=True,
    ),
    _account(
        "OpenAI: hard limit", 400, _openai("Billing hard limit has been reached", code="billing_hard_limit_reached"),
        "quota_exhausted", decisive=True,
    ),
    _account(
        "Anthropic: credit", 400, _anthropic("invalid_request_error", "Your credit balance is too low to access "
        "the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."), "quota_exhausted",
    ),
    _account(
        "Anthropic: billing", 402, _anthropic("billing_error", "Your payment failed."), "quota_exhausted",
        decisive=True,
    ),
    _account(
        "Anthropic: spend stop of the tier", 429, _anthropic("rate_limit_error", "You have reached your API usage "
        "limits.", error_code="enforced_spend_limit_reached"), "spend_limit", decisive=True, headers={
        "x-should-retry": "true"},
    ),
    _account(
        "Anthropic: spend stop of the contract", 429, _anthropic("rate_limit_error", "Limit reached.", error_code=
        "contract_spend_limit_reached"), "spend_limit", decisive=True,
    ),
    _account(
        "Anthropic: own limit", 400, _anthropic("invalid_request_error", "You have reached your specified API "
        "usage limits. You will regain access on 2026-12-01 at 00:00 UTC."), "spend_limit",
    ),
    _account(
        "Anthropic: spend limit in words", 429, _anthropic("rate_limit_error", "This request would exceed your "
        "account's monthly spend limit. Please try again later."), "spend_limit",
    ),
    _account(
        "DeepSeek: balance", 402, _openai("Insufficient Balance", "unknown_error", "invalid_request_error"),
        "quota_exhausted", decisive=True,
    ),
    _account("402, nothing said", 402, "", "quota_exhausted", decisive=True),
    _account(
        "Moonshot: suspended", 429, _openai("Your account org-x<ak-y> is suspended, please check your plan and "
        "billing details", "exceeded_current_quota_error"), "quota_exhausted", decisive=True,
    ),
    _account(
        "Zhipu: balance", 429, {"error": {"code": "1113", "message": "Insufficient balance or no resource "
        "package. Please recharge."}}, "quota_exhausted", decisive=True,
    ),
    _account(
        "Zhipu behind a gateway: balance", 400, {"error": "upstream: 余额不足或无可用资源包,请充值。"},
        "quota_exhausted",
    ),
    _account(
        "DashScope: arrears", 400, {"code": "Arrearage", "message": "Access denied, please make sure your account "
        "is in good standing."}, "quota_exhausted", decisive=True,
    ),
    _account(
        "DashScope: free tier", 403, _openai("The free tier of the model has been exhausted.",
        "AllocationQuota.FreeTierOnly", "AllocationQuota.FreeTierOnly"), "quota_exhausted", decisive=True,
    ),
    _account(
        "Together: credit", 402, _openai("Credit limit exceeded. Please navigate to billing to add credit.",
        "credit_limit"), "quota_exhausted", decisive=True,
    ),
    _account(
        "OpenRouter: credits", 402, _router(402, "Insufficient credits. Add more using "
        "https://openrouter.ai/settings/credits"), "quota_exhausted", decisive=True,
    ),
    _account(
        "OpenRouter: credits for max_tokens", 402, _router(402, "This request requires more credits, or fewer "
        "max_tokens. You requested up to 65536 tokens, but can only afford 3395."), "quota_exhausted", decisive=True,
    ),
    _account(
        "OpenRouter: limit of the key", 403, _router(403, "Key limit exceeded (total limit). Manage it using "
        "https://openrouter.ai/settings/keys"), "spend_limit",
    ),
    _account(
        "xAI: credits", 429, {"code": "Some resource has been exhausted", "error": "Your team t has either used "
        "all available credits or reached its monthly spending limit. To continue making API requests, please "
        "purchase more credits or raise your spending limit."}, "spend_limit",
    ),
    _account(
        "xAI: new team", 403, {"code": "The caller does not have permission", "error": "Your newly created team "
        "doesn't have any credits or licenses yet."}, "quota_exhausted",
    ),
    _account(
        "xAI: spending limit", 403, {"code": "personal-team-blocked:spending-limit", "error":
        "You have run out of credits."}, "spend_limit", decisive=True,
    ),
    _account(
        "Fireworks: suspended", 412, {"error": {"message": "Account a is suspended, possibly due to reaching the "
        "monthly spending limit or failure to pay past invoices.", "code": "PRECONDITION_FAILED", "type": "error"}},
        "spend_limit",
    ),
    _account(
        "Hugging Face: credits", 402, {"error": "You have exceeded your monthly included credits for Inference "
        "Providers."}, "quota_exhausted", decisive=True,
    ),
    _account(
        "LiteLLM: budget", 400, {"error": {"message": "Budget has been exceeded! Current cost: 1.1, Max budget: "
        "1.0", "type": "budget_exceeded", "param": None, "code": "400"}}, "quota_exhausted", decisive=True,
    ),
    _account(
        "a gateway: quota in words", 429, {"error": "You exceeded your current quota, please check your plan."},
        "quota_exhausted",
    ),
    _account(
        "a gateway: billing in words", 403, {"message": "Please check your plan and billing details."},
        "quota_exhausted",
    ),
    _account(
        "Cohere: trial key", 429, {"message": "You are using a Trial key, which is limited to 1000 API calls / month."},
        "daily_quota",
    ),
    _account(
        "Cloudflare: daily allocation", 429, {"errors": [{"code": 4006, "message": "you have used up your daily "
        "free allocation of 10,000 neurons"}]}, "daily_quota",
    ),
    _account(
        "OpenRouter: free models, no time", 429, _router(429, "Rate limit exceeded: free-models-per-day. Add 10 "
        "credits to unlock 1000 free model requests per day"), "daily_quota",
    ),
    _account(
        "Bedrock: tokens of a day", 429, {"message": "Too many tokens per day, please wait before trying again."},
        "daily_quota", headers={"x-amzn-ErrorType": "ThrottlingException"},
    ),
    _account(
        "Gemini: quota of a day, no time", 429, _google(429, "RESOURCE_EXHAUSTED", _GEMINI_QUOTA.format("r", 250),
        _quota(_DAY)), "daily_quota",
    ),
    _account(
        "Anthropic: a limit that lasts", 429, _anthropic("rate_limit_error", "Limit reached."), "usage_limit",
        headers={"x-should-retry": "false"},
    ),
    _model(
        "Gemini: no free quota", 429, _google(429, "RESOURCE_EXHAUSTED", _GEMINI_QUOTA.format("r", 0), _quota(_MINUTE),
        _delay("38s")), "quota_exhausted", decisive=False, retry_after=38.0,
    ),
)  # fmt: skip

ACCOUNT = (
    _account(
        "OpenAI: region", 403, _openai("Country, region, or territory not supported", "request_forbidden",
        "unsupported_country_region_territory"), "unsupported_region", decisive=True,
    ),
    _account(
        "Gemini: region", 400, _google(400, "FAILED_PRECONDITION", "User location is not supported for the API "
        "use."), "unsupported_region",
    ),
    _account(
        "Anthropic: region", 403, _anthropic("forbidden", "Claude is not available in your country."),
        "unsupported_region",
    ),
    _account(
        "Groq: restricted", 400, _openai("Organization has been restricted. Please reach out to support if you "
        "believe this was in error.", code="organization_restricted"), "account_restricted", decisive=True,
    ),
    _account(
        "Anthropic: disabled", 400, _anthropic("invalid_request_error", "This organization has been disabled."),
        "account_restricted",
    ),
    _account(
        "OpenAI: deactivated", 401, _openai("Your account has been deactivated.", code="account_deactivated"),
        "account_restricted", decisive=True,
    ),
    _account(
        "Fireworks: suspended, no reason", 412, {"error": {"message": "Account a is suspended."}},
        "account_restricted",
    ),
    _account(
        "OpenRouter: data policy", 404, _router(404, "No endpoints found matching your data policy (Free model "
        "training). Configure: https://openrouter.ai/settings/privacy"), "privacy_settings",
    ),
    _account(
        "OpenRouter: providers", 404, _router(404, "No allowed providers are available for the selected model."),
        "privacy_settings",
    ),
    _account(
        "OpenRouter: ignored providers", 404, _router(404, "All providers have been ignored."), "privacy_settings",
    ),
    _account("403, nothing said", 403, "", "forbidden"),
    _account(
        "OpenAI: permission", 403, _openai("You have insufficient permissions for this operation. Missing scopes: "
        "model.request."), "forbidden",
    ),
    _account(
        "Anthropic: permission", 403, _anthropic("permission_error", "Your API key does not have permission to "
        "use the specified resource."), "forbidden",
    ),
    _account(
        "Cloudflare: firewall", 403, _page("Attention Required! | Cloudflare").encode(), "firewall", headers={
        "Server": "cloudflare"},
    ),
    _account("nginx: forbidden page", 403, _NGINX.format("403 Forbidden"), "firewall"),
    _account("a firewall that says 406", 406, _page("Not Acceptable!"), "firewall"),
    _account("a proxy", 407, _page("407 Proxy Authentication Required"), "proxy_refused", decisive=True),
    _account("a redirect", 307, "", "redirected", headers={"Location": "https://login.example/"}),
    _account("a redirect to https", 301, _NGINX.format("301 Moved Permanently"), "redirected"),
    _account("FastAPI: no such path", 404, {"detail": "Not Found"}, "unknown_address"),
    _account("Go: no such path", 404, "404 page not found", "unknown_address"),
    _account("nginx: no such path", 404, _NGINX.format("404 Not Found"), "unknown_address"),
    _account(
        "Azure: no such path", 404, {"error": {"code": "404", "message": "Resource not found"}}, "unknown_address",
    ),
    _account("FastAPI: method", 405, {"detail": "Method Not Allowed"}, "no_chat_completions"),
    _account(
        "llama.cpp: only embeddings", 501, {"error": {"code": 501, "message": "This server is started for "
        "embeddings only.", "type": "not_implemented"}}, "no_chat_completions",
    ),
    _account("501, in words", 501, {"error": "chat completions are not enabled"}, "no_chat_completions"),
)  # fmt: skip

MODELS = (
    _model(
        "OpenAI: no such model", 404, _openai("The model `m` does not exist or you do not have access to it.", code=
        "model_not_found"), "unknown_model",
    ),
    _model(
        "OpenAI: project", 403, _openai("Project `p` does not have access to model `m`", code="model_not_found"),
        "unknown_model",
    ),
    _model(
        "vLLM: no such model", 404, {"object": "error", "message": "The model `m` does not exist.", "type":
        "NotFoundError", "param": None, "code": 404}, "unknown_model", decisive=False,
    ),
    _model(
        "Azure: no such deployment", 404, {"error": {"code": "DeploymentNotFound", "message":
        "The API deployment for this resource does not exist."}}, "unknown_model",
    ),
    _model(
        "Azure: wrong operation", 400, {"error": {"code": "OperationNotSupported", "message":
        "The chatCompletion operation does not work with the specified model, m."}}, "not_a_chat_model",
    ),
    _model("Anthropic: no such model", 404, _anthropic("not_found_error", "model: claude-9"), "unknown_model"),
    _model(
        "Gemini: no such model", 404, _google(404, "NOT_FOUND", "models/m is not found for API version v1main, or "
        "is not supported for generateContent."), "unknown_model", decisive=False,
    ),
    _model(
        "Mistral: no such model", 400, {"object": "error", "message": "Invalid model: m", "type": "invalid_model",
        "param": None, "code": "1500"}, "unknown_model",
    ),
    _model(
        "Together: dedicated only", 400, _openai("Unable to access non-serverless model m.", code=
        "model_not_available"), "unknown_model",
    ),
    _model(
        "GitHub Models: no such model", 400, {"error": {"code": "unknown_model", "message": "Unknown model: m",
        "details": "Unknown model: m"}}, "unknown_model",
    ),
    _model(
        "OpenRouter: no such model", 400, _router(400, "m is not a valid model ID"), "unknown_model", decisive=False,
    ),
    _model(
        "OpenRouter: nobody has it", 404, _router(404, "No endpoints found for m."), "unknown_model", decisive=False,
    ),
    _model(
        "Zhipu: no such model", 400, {"error": {"code": "1211", "message": "模型不存在，请检查模型代码。"}},
        "unknown_model",
    ),
    _model("DeepSeek: no such model", 400, _openai("Model Not Exist", code="model_not_exist"), "unknown_model"),
    _model(
        "Ollama: not pulled", 404, {"error": {"message": "model \"m\" not found, try pulling it first", "type":
        "api_error", "param": None, "code": None}}, "unknown_model", decisive=False,
    ),
    _model(
        "LM Studio: none loaded", 404, {"error": {"message": "No models loaded. Please load a model in the "
        "developer page or use the 'lms load' command.", "type": "invalid_request_error"}}, "unknown_model",
        decisive=False,
    ),
    _model(
        "LM Studio: cannot be loaded", 400, {"error": "Failed to load model \"m\". Error: insufficient memory"},
        "unknown_model", decisive=False,
    ),
    _model(
        "Ollama: cannot be loaded", 500, {"error": "llama runner process has terminated: error loading model"},
        "unknown_model", decisive=False,
    ),
    _model(
        "LiteLLM: no such model", 400, {"error": {"message": "/chat/completions: Invalid model name passed in "
        "model=m. Call `/v1/models` to view available models.", "type": "None", "param": "None", "code": "400"}},
        "unknown_model", decisive=False,
    ),
    _model(
        "Bedrock: no such model", 400, {"message": "The provided model identifier is invalid."}, "unknown_model",
        decisive=False,
    ),
    _model(
        "Bedrock: profile wanted", 400, {"message": "Invocation of model ID m with on-demand throughput "
        "isn\u2019t supported."}, "unknown_model", decisive=False,
    ),
    _model(
        "Bedrock: no access", 403, {"message": "You don't have access to the model with the specified model ID."},
        "model_not_allowed", decisive=False,
    ),
    _model(
        "Vertex: no such model", 404, _google(404, "NOT_FOUND", "Publisher Model `projects/p/m` was not found or "
        "your project does not have access to it."), "unknown_model", decisive=False,
    ),
    _model(
        "Hugging Face: no provider", 400, {"error": {"message": "The requested model 'm' is not supported by any "
        "provider you have enabled.", "type": "invalid_request_error", "param": "model", "code":
        "model_not_supported"}}, "unknown_model",
    ),
    _model(
        "LiteLLM: not for this key", 401, _openai("key not allowed to access model.", "key_model_access_denied"),
        "model_not_allowed",
    ),
    _model(
        "Bedrock: retired", 404, {"message": "This model version has reached the end of its life."}, "model_retired",
        decisive=False,
        headers={"x-amzn-ErrorType": "ResourceNotFoundException"},
    ),
    _model(
        "Groq: blocked", 403, _openai("The model `m` is blocked at the project level.", "permissions_error",
        "model_permission_blocked_project"), "model_not_allowed",
    ),
    _model(
        "Groq: terms", 400, _openai("The model `m` requires terms acceptance.", code="model_terms_required"),
        "model_not_allowed",
    ),
    _model(
        "Groq: retired", 400, _openai("The model `m` has been decommissioned and is no longer supported.", code=
        "model_decommissioned"), "model_retired",
    ),
    _model("OpenAI: retired", 404, _openai("See the deprecations page.", code="model_deprecated"), "model_retired"),
    _model("410, nothing said", 410, "", "model_retired", decisive=False),
    _model(
        "Gemini: retired", 404, _google(404, "NOT_FOUND", "This model models/m is no longer available."),
        "model_retired", decisive=False,
    ),
    _model(
        "OpenAI: no chat model", 404, _openai("This is not a chat model and thus not supported in the "
        "v1/chat/completions endpoint.", param="model"), "not_a_chat_model", decisive=False,
    ),
    _model(
        "OpenAI: responses only", 404, _openai("This model is only supported in v1/responses and not in "
        "v1/chat/completions.", param="model"), "not_a_chat_model", decisive=False,
    ),
    _model("Ollama: embeddings", 400, {"error": "\"m\" does not support chat"}, "not_a_chat_model", decisive=False),
    _model(
        "DashScope: streams only", 400, _openai("This model only support stream mode, please enable the stream "
        "parameter to access the model."), "streams_only", decisive=False,
    ),
    _model(
        "DashScope: thinking streams", 400, _openai("parameter.enable_thinking must be set to false for "
        "non-streaming calls", code="invalid_parameter_error"), "streams_only", decisive=False,
    ),
    _model(
        "Fireworks: streams only", 400, {"error": {"message": "Requests with max_tokens > 4096 must have "
        "stream=true"}}, "streams_only", decisive=False,
    ),
    _model(
        "Gateway: streams only", 400, {"error": {"message": "stream must be set to true"}}, "streams_only",
        decisive=False,
    ),
)  # fmt: skip

LENGTH = (
    _item(
        "OpenAI: too long", 400, _openai("This model's maximum context length is 8192 tokens. However, your "
        "messages resulted in 9000 tokens.", code="context_length_exceeded", param="messages"), "context_too_long",
    ),
    _item(
        "OpenAI: max_tokens is to blame", 400, _openai("This model's maximum context length is 8192 tokens. "
        "However, you requested 12100 tokens (100 in the messages, 12000 in the completion). Please reduce the "
        "length of the messages or completion.", code="context_length_exceeded"), "max_tokens_too_large",
    ),
    _item(
        "vLLM: max_tokens is to blame", 400, {"object": "error", "message": "This model's maximum context length "
        "is 8192 tokens. However, you requested 12100 tokens (100 in the messages, 12000 in the completion).",
        "type": "BadRequestError", "code": 400}, "max_tokens_too_large",
    ),
    _item(
        "vLLM: the prompt is to blame", 400, {"object": "error", "message": "This model's maximum context length "
        "is 8192 tokens. However, you requested 9100 tokens (9000 in the messages, 100 in the completion).", "type":
        "BadRequestError", "code": 400}, "context_too_long",
    ),
    _item(
        "vLLM: max_tokens", 400, {"error": {"message": "'max_tokens' or 'max_completion_tokens' is too large: "
        "12000. This model's maximum context length is 8192 tokens and your request has 100 input tokens (12000 > "
        "8192 - 100).", "type": "BadRequestError", "code": 400}}, "max_tokens_too_large",
    ),
    _item(
        "vLLM: decoder prompt", 400, {"error": {"message": "The decoder prompt (length 21535) is longer than the "
        "maximum model length of 16384.", "type": "BadRequestError", "code": 400}}, "context_too_long",
    ),
    _item(
        "SGLang", 400, {"object": "error", "message": "The input (9000 tokens) is longer than the model's context "
        "length (8192 tokens).", "type": "BadRequestError", "code": 400}, "context_too_long",
    ),
    _item(
        "llama.cpp", 400, {"error": {"code": 400, "message": "the request exceeds the available context size, try "
        "increasing it", "type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 4096}},
        "context_too_long",
    ),
    _item(
        "llama.cpp, older", 500, {"error": {"code": 500, "message": "the request exceeds the available context "
        "size", "type": "server_error"}}, "context_too_long",
    ),
    _item(
        "Ollama: a runner", 500, {"error": {"message": "llama runner process has terminated: input exceeds "
        "context length"}}, "context_too_long",
    ),
    _item(
        "LM Studio", 400, {"error": "Trying to keep the first 15857 tokens when context the overflows. However, "
        "the model is loaded with context length of only 4096 tokens, which is not enough."}, "context_too_long",
    ),
    _item(
        "Hugging Face", 422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= "
        "4096. Given: 5000 `inputs` tokens and 100 `max_new_tokens`", "error_type": "validation"},
        "context_too_long",
    ),
    _item(
        "Anthropic: too long", 400, _anthropic("invalid_request_error", "prompt is too long: 210000 tokens > "
        "200000 maximum"), "context_too_long",
    ),
    _item(
        "Anthropic: the sum", 400, _anthropic("invalid_request_error", "input length and `max_tokens` exceed "
        "context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again"),
        "context_too_long",
    ),
    _item(
        "Anthropic: max_tokens", 400, _anthropic("invalid_request_error", "max_tokens: 200000 > 8192, which is "
        "the maximum allowed number of output tokens for m"), "max_tokens_too_large",
    ),
    _item(
        "Anthropic: too many bytes", 413, _anthropic("request_too_large", "Request exceeds the maximum size"),
        "context_too_long",
    ),
    _item("Bedrock: too long", 400, {"message": "Input is too long for requested model."}, "context_too_long"),
    _item(
        "Gemini", 400, _google(400, "INVALID_ARGUMENT", "The input token count (1200000) exceeds the maximum "
        "number of tokens allowed (1048576)."), "context_too_long",
    ),
    _item(
        "Mistral: too long", 400, {"object": "error", "message": "Prompt contains 66385 tokens, too large for "
        "model with 32768 maximum context length", "type": "invalid_request_error", "code": "3051"},
        "context_too_long",
    ),
    _item(
        "Moonshot", 400, _openai("Invalid request: Your request exceeded model token limit: 8192"),
        "context_too_long",
    ),
    _item(
        "xAI", 400, {"code": "Client specified an invalid argument", "error": "This model's maximum prompt length "
        "is 131072 but the request contains 537812 tokens."}, "context_too_long",
    ),
    _item(
        "DashScope", 400, {"code": "InvalidParameter", "message": "Range of input length should be [1, 30720]"},
        "context_too_long",
    ),
    _item(
        "DashScope: max_tokens", 400, _openai("Range of max_tokens should be [1, 8192]", code=
        "invalid_parameter_error"), "max_tokens_too_large",
    ),
    _item(
        "DeepSeek: max_tokens", 400, _openai("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]"),
        "max_tokens_too_large",
    ),
    _item(
        "Groq: max_tokens", 400, _openai("`max_tokens` must be less than or equal to `8192`, the maximum value "
        "for `max_tokens` is less than the `context_window` for this model", param="max_tokens"),
        "max_tokens_too_large",
    ),
    _item(
        "OpenAI: max_tokens too large", 400, _openai("max_tokens is too large: 200000. This model supports at "
        "most 16384 completion tokens, whereas you provided 200000.", code="invalid_value", param="max_tokens"),
        "max_tokens_too_large",
    ),
    _item(
        "Hugging Face: max_new_tokens", 422, {"error": "Input validation error: `max_new_tokens` must be <= 4096"},
        "max_tokens_too_large",
    ),
    _item("Zhipu", 400, {"error": {"code": "1261", "message": "Prompt 超长"}}, "context_too_long"),
    _item(
        "Cohere", 400, {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081"},
        "context_too_long",
    ),
    _item(
        "GitHub Models: too long", 413, {"error": {"code": "tokens_limit_reached", "message":
        "Request body too large for m model. Max size: 8000 tokens."}}, "context_too_long",
    ),
    _item(
        "Groq: more than a minute", 413, _openai("Request too large for model `m` on tokens per minute (TPM): "
        "Limit 6000, Requested 9000, please reduce your message size and try again.", "tokens",
        "rate_limit_exceeded"), "request_too_large",
    ),
    _item(
        "OpenAI: more than a minute", 429, _openai("Request too large for m in organization o on tokens per min "
        "(TPM): Limit 30000, Requested 132819. The input or output tokens must be reduced.", "tokens",
        "rate_limit_exceeded"), "request_too_large",
    ),
    _item(
        "Groq behind a gateway: more than a minute", 429, {"error": "GroqException: Request too large for model "
        "`m`"}, "request_too_large",
    ),
    _item("nginx: too many bytes", 413, _NGINX.format("413 Request Entity Too Large"), "context_too_long"),
    _item(
        "LiteLLM: too long", 400, {"error": {"message": "litellm.ContextWindowExceededError: "
        "litellm.BadRequestError: OpenAIException - {\"error\":{\"message\":\"maximum context "
        "length\",\"code\":\"context_length_exceeded\"}}", "type": None, "param": None, "code": "400"}},
        "context_too_long",
    ),
)  # fmt: skip

CONTENT = (
    _item(
        "Azure: filter", 400, {"error": {"message": "The response was filtered due to the prompt triggering Azure "
        "OpenAI's content management policy.", "type": None, "param": "prompt", "code": "content_filter", "status":
        400, "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"violence": {
        "filtered": True, "severity": "medium"}}}}}, "content_filter",
    ),
    _item(
        "OpenAI: invalid prompt", 400, _openai("Invalid prompt: your prompt was flagged as potentially violating "
        "our usage policy.", code="invalid_prompt"), "content_filter",
    ),
    _item(
        "OpenAI behind a gateway: flagged", 400, {"error": "Your prompt was flagged as potentially violating our "
        "policy"}, "moderation",
    ),
    _item(
        "Anthropic: output blocked", 400, _anthropic("invalid_request_error", "Output blocked by content "
        "filtering policy, which is a content filter"), "content_filter",
    ),
    _item(
        "DashScope: inspection", 400, {"code": "data_inspection_failed", "message": "Input data may contain "
        "inappropriate content."}, "content_filter",
    ),
    _item(
        "Zhipu: sensitive", 400, {"error": {"code": "1301", "message": "输入或生成内容可能包含不安全或敏感内容"}},
        "content_filter",
    ),
    _item("DeepSeek: risk", 400, _openai("Content Exists Risk"), "content_filter"),
    _item(
        "xAI: guidelines", 403, {"code": "The caller does not have permission", "error": "Content violates usage "
        "guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}, "content_filter",
    ),
    _item(
        "Moonshot: high risk", 400, _openai("The request was rejected because it was considered high risk",
        "content_filter"), "content_filter",
    ),
    _item("Cohere: unsafe", 498, {"message": "blocked"}, "content_filter"),
    _item(
        "OpenRouter: moderation", 403, _router(403, "Provider stopped this input.", reasons=["violence"],
        flagged_input="…", provider_name="Provider", model_slug="m"), "moderation",
    ),
    _item(
        "OpenRouter: moderation in words", 403, _router(403, "Your input was flagged for \"violence\"."),
        "moderation",
    ),
)  # fmt: skip

DIFFERENTLY = (
    _resample(
        "Groq: no JSON", 400, {"error": {"message": "Failed to generate JSON. Please adjust your prompt.", "type":
        "invalid_request_error", "code": "json_validate_failed", "failed_generation": "{\"user_1\": \"Hel"}},
    ),
    _resample(
        "Groq: no JSON, in other words", 400, _openai("The output did not validate.", code="json_validate_failed"),
    ),
    _resample("Groq: no tool call", 400, _openai("Failed to call a function.", code="tool_use_failed")),
    _resample(
        "Groq behind LiteLLM", 400, {"error": {"message": "litellm.BadRequestError: GroqException - Failed to "
        "generate JSON. Please adjust your prompt.", "type": None, "param": None, "code": "400"}},
    ),
    _simpler(
        "OpenAI: schema unsupported", 400, _openai("Invalid parameter: 'response_format' of type 'json_schema' is "
        "not supported with this model.", param="response_format"),
    ),
    _simpler(
        "OpenAI: unknown parameter", 400, _openai("Unknown parameter: 'response_format.json_schema.strict'.", code=
        "unknown_parameter", param="response_format.json_schema.strict"),
    ),
    _simpler(
        "OpenAI: schema by its parameter", 400, _openai("Invalid value.", code="invalid_value", param=
        "tools[0].type"),
    ),
    _simpler("Groq: schema", 400, _openai("This model does not support response format `json_schema`.")),
    _simpler(
        "Mistral: schema", 422, {"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": [
        "body", "response_format", "json_schema", "strict"], "msg": "Extra inputs are not permitted", "input": True}]},
        "type": "invalid_request_error"},
    ),
    _simpler(
        "Anthropic: output format", 400, _anthropic("invalid_request_error", "output_config: Extra inputs are not "
        "permitted"),
    ),
    _simpler(
        "Anthropic: forced tool", 400, _anthropic("invalid_request_error", "Thinking may not be enabled when "
        "tool_choice forces tool use."),
    ),
    _simpler(
        "Gemini: schema", 400, _google(400, "INVALID_ARGUMENT", "The specified schema produces a constraint that "
        "has too many states for serving."),
    ),
    _simpler(
        "Gemini: response_schema", 400, _google(400, "INVALID_ARGUMENT", "* "
        "GenerateContentRequest.generation_config.response_schema.properties: should be non-empty for OBJECT type"),
    ),
    _simpler("DeepSeek: type", 400, _openai("This response_format type is unavailable now")),
    _simpler(
        "vLLM: guided decoding", 400, {"object": "error", "message": "The provided JSON schema contains features "
        "not supported by xgrammar.", "type": "BadRequestError", "code": 400},
    ),
    _simpler(
        "llama.cpp: grammar", 400, {"error": {"code": 400, "message": "failed to parse grammar", "type":
        "invalid_request_error"}},
    ),
    _simpler(
        "llama.cpp, older: grammar", 500, {"error": {"code": 500, "message": "failed to parse grammar", "type":
        "server_error"}},
    ),
    _simpler("a server that fails at it", 500, {"detail": "json_schema is not supported by this backend"}),
    _simpler(
        "Ollama: no tools", 400, {"error": {"message": "registry.ollama.ai/library/m does not support tools",
        "type": "api_error", "param": None, "code": None}},
    ),
    _simpler(
        "vLLM: no tools", 400, {"object": "error", "message": "\"auto\" tool choice requires "
        "--enable-auto-tool-choice and --tool-call-parser to be set", "type": "BadRequestError", "code": 400},
    ),
    _simpler(
        "DashScope: thinking", 400, _openai("The tool_choice parameter does not support being set to required or "
        "object in thinking mode", code="invalid_parameter_error"),
    ),
    _simpler(
        "OpenRouter: parameters", 404, _router(404, "No endpoints found that can handle the requested parameters: "
        "response_format."),
    ),
    _simpler(
        "OpenRouter: parameters, unnamed", 404, _router(404, "No endpoints found that can handle the requested "
        "parameters."),
    ),
    _simpler(
        "OpenRouter: parameters, 503", 503, _router(503, "No endpoints found that support the requested "
        "parameters.", error_type="no_available_provider"),
    ),
    _simpler("OpenRouter: no tools", 404, _router(404, "No endpoints found that support tool use.")),
    _simpler(
        "OpenRouter: what is behind it", 400, _router(400, "Provider returned error", provider_name="P", raw=
        "{\"error\":{\"message\":\"json_object is not available\",\"code\":400}}"),
    ),
    _rename(
        "OpenAI: max_tokens", 400, _openai("Unsupported parameter: 'max_tokens' is not supported with this model. "
        "Use 'max_completion_tokens' instead.", code="unsupported_parameter", param="max_tokens"), "max_tokens",
        "max_completion_tokens",
    ),
    _rename(
        "a gateway: max_tokens", 400, {"message": "Unsupported parameter: 'max_tokens' is not supported with this "
        "model. Use 'max_completion_tokens' instead."}, "max_tokens", "max_completion_tokens",
    ),
    _rename(
        "Mistral: max_completion_tokens", 422, {"detail": [{"type": "extra_forbidden", "loc": ["body",
        "max_completion_tokens"], "msg": "Extra inputs are not permitted", "input": 2000}]},
        "max_completion_tokens", "max_tokens",
    ),
    _rename(
        "an old server: max_completion_tokens", 400, _openai("Unrecognized request argument supplied: "
        "max_completion_tokens"), "max_completion_tokens", "max_tokens",
    ),
    _omit(
        "OpenAI: temperature", 400, _openai("Unsupported value: 'temperature' does not support 0.8 with this "
        "model. Only the default (1) value is supported.", code="unsupported_value", param="temperature"),
        "temperature",
    ),
    _omit(
        "OpenAI: unknown parameter of a recipe", 400, _openai("Unknown parameter: 'top_k'.", code=
        "unknown_parameter", param="top_k"), "top_k",
    ),
    _omit(
        "Anthropic: temperature", 400, _anthropic("invalid_request_error", "`temperature` is deprecated for this "
        "model."), "temperature",
    ),
    _omit(
        "Anthropic: two of them", 400, _anthropic("invalid_request_error", "`temperature` and `top_p` cannot both "
        "be specified for this model. Please use only one."), "temperature",
    ),
    _omit(
        "Moonshot: temperature", 400, _openai("invalid temperature: only 1 is allowed for this model"),
        "temperature",
    ),
    _omit(
        "Bedrock: extraneous key", 400, {"message": "Malformed input: #: extraneous key [top_k] is not permitted"},
        "top_k",
    ),
    _omit(
        "xAI: parameter", 400, {"code": "Client specified an invalid argument", "error": "Model m does not "
        "support parameter presence_penalty."}, "presence_penalty",
    ),
    _omit(
        "Gemini: unknown name", 400, _google(400, "INVALID_ARGUMENT", "Invalid JSON payload received. Unknown "
        "name \"seed\": Cannot find field."), "seed",
    ),
    _omit("Groq: property", 400, _openai("property 'store' is unsupported"), "store"),
    _omit(
        "Python: keyword", 400, {"detail": "create() got an unexpected keyword argument 'reasoning_effort'"},
        "reasoning_effort",
    ),
)  # fmt: skip

LIMITS = (
    _transient(
        "OpenAI: requests", 429, _openai("Rate limit reached for m on requests per min (RPM): Limit 3, Used 3, "
        "Requested 1. Please try again in 20s.", "requests", "rate_limit_exceeded"), "rate_limited", limit=True,
        retry_after=20.0,
    ),
    _transient(
        "OpenAI: tokens, in headers", 429, _openai("Rate limit reached.", "tokens", "rate_limit_exceeded"),
        "rate_limited", limit=True, retry_after=372.0, headers={"x-ratelimit-remaining-requests": "99",
        "x-ratelimit-reset-requests": "20ms", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens":
        "6m12s"},
    ),
    _transient(
        "OpenAI: milliseconds", 429, _openai("Slow down."), "rate_limited", limit=True, retry_after=0.25, headers={
        "retry-after-ms": "250", "Retry-After": "1"},
    ),
    _transient(
        "OpenAI: requests of a day", 429, _openai("Rate limit reached for m on requests per day (RPD): Limit 200, "
        "Used 200. Please try again in 7m12s.", "requests", "rate_limit_exceeded"), "rate_limited", limit=True,
        retry_after=432.0,
    ),
    _transient(
        "OpenAI: ramp", 503, _openai("Traffic grew too fast.", code="ramp_limit_exceeded"), "rate_limited", limit=True,
    ),
    _transient(
        "Azure", 429, {"error": {"code": "429", "message": "Requests to the ChatCompletions_Create Operation have "
        "exceeded call rate limit. Please retry after 8 seconds."}}, "rate_limited", limit=True, retry_after=8.0,
    ),
    _transient(
        "Anthropic", 429, _anthropic("rate_limit_error", "This request would exceed your organization's rate "
        "limit."), "rate_limited", limit=True, retry_after=30.0, headers={"retry-after": "30", "x-should-retry":
        "true"},
    ),
    _transient(
        "Anthropic: reset", 429, _anthropic("rate_limit_error", "Rate limited."), "rate_limited", limit=True,
        retry_after=15.0, headers={"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset":
        "2025-06-02T12:00:15Z"},
    ),
    _transient(
        "Anthropic: asks to try again", 429, _anthropic("rate_limit_error", "Your account is limited per day"),
        "rate_limited", limit=True, headers={"x-should-retry": "true"},
    ),
    _transient(
        "Gemini: minute", 429, _google(429, "RESOURCE_EXHAUSTED", _GEMINI_QUOTA.format("r", 10) +
        "Please retry in 3.1s.", _quota(_MINUTE), _delay("3s")), "rate_limited", limit=True, retry_after=3.0,
    ),
    _transient(
        "Gemini: minute, no time", 429, _google(429, "RESOURCE_EXHAUSTED", _GEMINI_QUOTA.format("r", 10), _quota
        (_MINUTE)), "rate_limited", limit=True,
    ),
    _transient(
        "Gemini: day, with a time", 429, _google(429, "RESOURCE_EXHAUSTED", _GEMINI_QUOTA.format("r", 250), _quota
        (_DAY), _delay("34000s")), "rate_limited", limit=True, retry_after=34000.0,
    ),
    _transient(
        "Gemini: time alone", 429, _google(429, "RESOURCE_EXHAUSTED", "Quota exceeded for the day, per day.", _delay(
        "17.5s")), "rate_limited", limit=True, retry_after=17.5,
    ),
    _transient(
        "Gemini behind a gateway", 429, {"error": {"message": "litellm.RateLimitError: You exceeded your current "
        "quota. Please retry in 41.2s."}}, "rate_limited", limit=True, retry_after=41.2,
    ),
    _transient(
        "Vertex", 429, _google(429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."),
        "rate_limited", limit=True,
    ),
    _transient(
        "Groq", 429, _openai("Rate limit reached for model `m` on tokens per day (TPD): Limit 100000. Please try "
        "again in 14m2.4s.", "tokens", "rate_limit_exceeded"), "rate_limited", limit=True, retry_after=842.4,
    ),
    _transient(
        "Mistral", 429, {"object": "error", "message": "Requests rate limit exceeded", "type": "rate_limited",
        "param": None, "code": "1300"}, "rate_limited", limit=True,
    ),
    _transient(
        "Mistral: capacity", 429, {"object": "error", "message": "Service tier capacity exceeded for this model.",
        "type": "service_tier_capacity_exceeded", "param": None, "code": "3505"}, "overloaded",
    ),
    _transient(
        "OpenRouter: upstream", 429, _router(429, "Provider returned error", raw="m is temporarily rate-limited "
        "upstream. Please retry shortly.", provider_name="P"), "rate_limited", limit=True,
    ),
    _transient(
        "OpenRouter: free models", 429, _router(429, "Rate limit exceeded: free-models-per-day.", headers={
        "X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1748908800000"}),
        "rate_limited", limit=True, retry_after=43200.0,
    ),
    _transient(
        "OpenRouter: reset in a header", 429, _router(429, "Rate limit exceeded."), "rate_limited", limit=True,
        retry_after=60.0, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1748865660000"},
    ),
    _transient(
        "Moonshot: rate", 429, _openai("Your account reached max request: 3, please try again after 1 seconds",
        "rate_limit_reached_error"), "rate_limited", limit=True, retry_after=1.0,
    ),
    _transient(
        "Zhipu: concurrency", 429, {"error": {"code": "1302", "message": "您当前使用该API的并发数过高"}},
        "rate_limited", limit=True,
    ),
    _transient(
        "DashScope: rate", 400, {"code": "Throttling.RateQuota", "message": "Requests throttling triggered."},
        "rate_limited", limit=True,
    ),
    _transient(
        "Bedrock", 400, {"message": "Too many requests, please wait before trying again."}, "rate_limited",
        limit=True, headers={"x-amzn-ErrorType": "ThrottlingException"},
    ),
    _transient(
        "Bedrock: quota of the service", 400, {"message": "Your request exceeds the service quota."},
        "rate_limited", limit=True, headers={"x-amzn-ErrorType": "ServiceQuotaExceededException"},
    ),
    _transient(
        "GitHub: secondary limit", 403, {"message": "You have exceeded a secondary rate limit."}, "rate_limited",
        limit=True, retry_after=60.0, headers={"Retry-After": "60"},
    ),
    _transient(
        "GitHub Models", 429, {"error": {"code": "RateLimitReached", "message": "Rate limit of 15 per 60s "
        "exceeded for UserByModelByMinute. Please wait 30 seconds before retrying."}}, "rate_limited", limit=True,
    ),
    _transient(
        "LiteLLM: all deployments rest", 429, {"error": {"message": "No deployments available for selected model, "
        "Try again in 60 seconds.", "type": "None", "param": "None", "code": "429"}}, "rate_limited", limit=True,
        retry_after=60.0,
    ),
    _transient(
        "Fireworks", 429, {"error": "Too Many Requests", "message": "You have exceeded your usage limits."},
        "rate_limited", limit=True,
    ),
    _transient("nginx", 429, _NGINX.format("429 Too Many Requests"), "rate_limited", limit=True),
    _transient("429, nothing said", 429, "", "rate_limited", limit=True),
    _transient(
        "429 until a date", 429, "slow down", "rate_limited", limit=True, retry_after=30.0, headers={"Retry-After":
        "Mon, 02 Jun 2025 12:00:30 GMT"},
    ),
)  # fmt: skip

TROUBLE = (
    _transient("Anthropic: overloaded", 529, _anthropic("overloaded_error", "Overloaded"), "overloaded"),
    _transient("Anthropic: overloaded, in a stream", 500, _anthropic("overloaded_error", "Busy"), "overloaded"),
    _transient("Anthropic: error", 500, _anthropic("api_error", "Internal server error"), "server_error"),
    _transient(
        "Anthropic: to be tried again", 400, _anthropic("invalid_request_error", "Odd."), "server_error", headers={
        "x-should-retry": "true"},
    ),
    _transient(
        "OpenAI: error", 500, _openai("The server had an error while processing your request.", "server_error"),
        "server_error",
    ),
    _transient(
        "Mistral: unavailable", 500, {"object": "error", "message": "Service unavailable.", "type":
        "internal_server_error", "param": None, "code": "1000"}, "server_error",
    ),
    _transient("OpenAI: slow down", 503, _openai("Slow down"), "overloaded"),
    _transient(
        "Moonshot: overloaded", 429, _openai("The engine is currently overloaded, please try again later",
        "engine_overloaded_error"), "overloaded",
    ),
    _transient(
        "Hugging Face: overloaded", 429, {"error": "Model is overloaded", "error_type": "overloaded"}, "overloaded",
    ),
    _transient(
        "Hugging Face: loading", 503, {"error": "Model m is currently loading", "estimated_time": 20.0},
        "model_loading", retry_after=20.0,
    ),
    _transient(
        "Hugging Face: generation", 424, {"error": "Request failed during generation", "error_type": "generation"},
        "server_error",
    ),
    _transient(
        "llama.cpp: loading", 503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
        "model_loading",
    ),
    _transient("Ollama: loading", 500, {"error": "llm server loading model"}, "model_loading"),
    _transient("LM Studio: loading", 404, {"error": "The model is loading, wait for it"}, "model_loading"),
    _transient(
        "Gemini: unavailable", 503, _google(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
        "overloaded",
    ),
    _transient(
        "Bedrock: unavailable", 400, {"message": "Try your request again."}, "overloaded", headers={
        "x-amzn-ErrorType": "ServiceUnavailableException"},
    ),
    _transient(
        "Bedrock: model error", 400, {"message": "The model had an error."}, "server_error", headers={
        "x-amzn-ErrorType": "ModelErrorException"},
    ),
    _transient("a gateway: limit in words", 400, {"error": "Rate limit reached, slow down."}, "rate_limited"),
    _transient("a gateway: busy", 400, {"error": "server is busy, please come back"}, "overloaded"),
    _transient("OpenRouter: chain", 502, _router(502, "Provider returned error"), "server_error"),
    _transient("408", 408, "", "http_408"),
    _transient("409", 409, "", "http_409"),
    _transient("425", 425, "", "http_425"),
    _transient("502 page", 502, _NGINX.format("502 Bad Gateway"), "server_error"),
    _transient("504 page", 504, _NGINX.format("504 Gateway Time-out"), "server_error"),
    _transient("503 with a time", 503, "", "overloaded", retry_after=12.0, headers={"Retry-After": "12"}),
    *(
        _transient(
            f"Cloudflare: {status}", status, _page(f"host | {status}: Web server is down"), "server_error",
            headers={"Server": "cloudflare"},
        )
        for status in (520, 521, 522, 523, 524, 525, 526, 527, 530)
    ),
)  # fmt: skip

UNKNOWN = (
    Row("400, nothing said", 400, "", ErrorKind.UNKNOWN, "bad_request"),
    Row(
        "a value out of range", 400, _openai("Invalid 'temperature': decimal above maximum value.", param=
        "temperature", code="decimal_above_max_value"), ErrorKind.UNKNOWN, "bad_request",
    ),
    Row(
        "a role", 400, _openai("Unsupported value: 'messages[0].role' does not support 'system' with this model.",
        param="messages[0].role", code="unsupported_value"), ErrorKind.UNKNOWN, "bad_request",
    ),
    Row(
        "Cohere: no message", 400, {"message": "invalid request: message must be at least 1 token long"}, ErrorKind.
        UNKNOWN, "bad_request",
    ),
    Row("a teapot", 418, "short and stout", ErrorKind.UNKNOWN, "bad_request"),
    Row(
        "nginx: bad request", 422, {"detail": [{"type": "missing", "loc": ["body", "messages"], "msg":
        "Field required"}]}, ErrorKind.UNKNOWN, "bad_request",
    ),
    Row("no error at all", 204, "", ErrorKind.UNKNOWN, "http_204"),
    Row("a list of numbers", 400, [1], ErrorKind.UNKNOWN, "bad_request"),
    Row("nested beyond reading", 400, "[" * 50_000, ErrorKind.UNKNOWN, "bad_request"),
    Row(
        "a failure that stays", 500, _openai("Odd.", "server_error"), ErrorKind.UNKNOWN, "server_error", headers={
        "x-should-retry": "false"},
    ),
)  # fmt: skip

REFUSALS = KEYS + BALANCE + ACCOUNT + MODELS + LENGTH + CONTENT + DIFFERENTLY + LIMITS + TROUBLE + UNKNOWN
