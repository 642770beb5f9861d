"""Advice about a failed item or a paused job, by its error code. Pure."""

from backstay.generate.classification_rule import ErrorKind
from backstay.generate.error_messages import MESSAGES
from backstay.generate.error_rules import RULES

# The endpoint cannot do what the recipe requests, so the job needs another revision of it.
_RECIPE_CODES = frozenset(
    {
        "length", "max_tokens_too_large", "structure_refused", "parameter_renamed", "parameter_refused",
        "model_retired", "not_a_chat_model", "streams_only",
    }
)  # fmt: skip
# The endpoint rejects the item's text, so the item has to be edited, or the recipe revised.
_TEXT_CODES = frozenset({"refusal", "content_filter", "moderation", "context_too_long"})
# Codes that also come from content filters, which may have rejected one item's text.
_ACCOUNT_OR_TEXT_CODES = frozenset({"forbidden", "firewall"})
_ALL_ITEMS_CODES = (
    _RECIPE_CODES
    | {rule.code for rule in RULES if rule.kind in (ErrorKind.ACCOUNT, ErrorKind.MODEL)} - _ACCOUNT_OR_TEXT_CODES
    | {"no_key", "html_answer", "unreachable", "provider_unavailable"}
)


def may_try_again(code: str) -> bool:
    """Return whether retrying an item that failed with this code may succeed without a change."""
    return code not in _RECIPE_CODES and code not in _TEXT_CODES


def may_resume(code: str) -> bool:
    """Return whether a job that paused with this code can be resumed as it is; if not, its recipe has to be revised."""
    return code not in _RECIPE_CODES


def may_have_wrong_url(code: str) -> bool:
    """Return whether a job that paused with this code may have a wrong base URL."""
    return "{address}" in MESSAGES.get(code, "")


def may_concern_one_item(code: str) -> bool:
    """Return whether a job that paused with this code may continue once one item is skipped."""
    return code not in _ALL_ITEMS_CODES
