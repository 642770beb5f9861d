"""What can be done about a failure or a pause, by its code: the one rule for all who advise it. Pure."""

from backstay.generate.error_rule import ErrorKind
from backstay.generate.error_rules import RULES

# What the recipe asks for cannot be had, and it is frozen into its job.
_OF_RECIPE = frozenset(
    {
        "length", "max_tokens_too_large", "structure_refused", "parameter_renamed", "parameter_refused",
        "model_retired", "not_a_chat_model", "streams_only",
    }
)  # fmt: skip
# What an item says is not taken, and it is frozen into its job as well.
_OF_TEXT = frozenset({"refusal", "content_filter", "moderation", "context_too_long"})
# Filters answer so too, and what they refuse may be the text of one item.
_ALSO_OF_TEXT = frozenset({"forbidden", "firewall"})
_OF_ALL = (
    _OF_RECIPE
    | {rule.code for rule in RULES if rule.kind in (ErrorKind.ACCOUNT, ErrorKind.MODEL)} - _ALSO_OF_TEXT
    | {"no_key", "html_answer", "unreachable", "provider_unavailable"}
)


def may_try_again(code: str) -> bool:
    """Return whether another try of an item that failed so may come to something, within its job."""
    return code not in _OF_RECIPE and code not in _OF_TEXT


def may_resume(code: str) -> bool:
    """Return whether a job that paused so may be gone on with; otherwise it takes a new job."""
    return code not in _OF_RECIPE


def may_concern_one_item(code: str) -> bool:
    """Return whether a job that paused so may go on once an item is skipped."""
    return code not in _OF_ALL
