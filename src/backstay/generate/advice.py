"""Advice about a failed item or a paused job, by its error code. Pure."""

from backstay.generate.error_messages import MESSAGES
from backstay.generate.error_rule import ErrorKind
from backstay.generate.error_rules import RULES

# The endpoint cannot do what the recipe requests, and the recipe is frozen into its job.
_OF_RECIPE = frozenset(
    {
        "length", "max_tokens_too_large", "structure_refused", "parameter_renamed", "parameter_refused",
        "model_retired", "not_a_chat_model", "streams_only",
    }
)  # fmt: skip
# The endpoint rejects the text of the item, which is frozen into its job as well.
_OF_TEXT = frozenset({"refusal", "content_filter", "moderation", "context_too_long"})
# Content filters give these codes too, and may have rejected the text of one item.
_ALSO_OF_TEXT = frozenset({"forbidden", "firewall"})
_OF_ALL = (
    _OF_RECIPE
    | {rule.code for rule in RULES if rule.kind in (ErrorKind.ACCOUNT, ErrorKind.MODEL)} - _ALSO_OF_TEXT
    | {"no_key", "html_answer", "unreachable", "provider_unavailable"}
)


def may_try_again(code: str) -> bool:
    """Return whether retrying an item that failed with this code may succeed within its job."""
    return code not in _OF_RECIPE and code not in _OF_TEXT


def may_resume(code: str) -> bool:
    """Return whether a job that paused with this code can be resumed; if not, a new job is needed."""
    return code not in _OF_RECIPE


def may_be_elsewhere(code: str) -> bool:
    """Return whether a job that paused with this code may have a wrong base URL."""
    return "{address}" in MESSAGES.get(code, "")


def may_concern_one_item(code: str) -> bool:
    """Return whether a job that paused with this code may continue once one item is skipped."""
    return code not in _OF_ALL
