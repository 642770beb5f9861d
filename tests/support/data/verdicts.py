"""Verdicts on claimed items, one function for each way an attempt can end."""

from backstay.batch.item import ClaimedItem, ItemState
from backstay.batch.outcome import AttemptUsage, Verdict
from backstay.library.conversation import Conversation
from support.data.conversations import conversation


def completed(
    claimed: ClaimedItem, result: Conversation | None = None, *, usage: AttemptUsage | None = None
) -> Verdict:
    """Complete an item, by default with a conversation about its topic."""
    result = result or conversation(claimed.item.topic)
    return Verdict(claimed, ItemState.COMPLETED, "completed", result, usage=usage or AttemptUsage())


def completed_with_none(claimed: ClaimedItem) -> Verdict:
    """Complete an item whose processor returned None."""
    return Verdict(claimed, ItemState.COMPLETED, "completed")


def failed(claimed: ClaimedItem, code: str = "broken", *, usage: AttemptUsage | None = None) -> Verdict:
    return Verdict(claimed, ItemState.FAILED, "failed", None, code, f"it is {code}", 0.0, True, usage or AttemptUsage())


def skipped(claimed: ClaimedItem) -> Verdict:
    return Verdict(claimed, ItemState.SKIPPED, "skipped", None, "skipped", "no need")


def retried(claimed: ClaimedItem, *, delay: float = 0.0, usage: AttemptUsage | None = None) -> Verdict:
    """Fail an attempt that counts; the item is retried after `delay` seconds."""
    return Verdict(
        claimed, ItemState.PENDING, "retried", None, "transient", "not now", delay, True, usage or AttemptUsage()
    )


def put_off(claimed: ClaimedItem, *, delay: float = 0.0) -> Verdict:
    """Postpone an item for a reason outside of it: the attempt does not count."""
    return Verdict(claimed, ItemState.PENDING, "retried", None, "rate_limited", "too many", delay, False)


def doomed(
    claimed: ClaimedItem,
    code: str = "no_key",
    *,
    evidence: tuple[tuple[int, int], ...] = (),
    usage: AttemptUsage | None = None,
) -> Verdict:
    """Halt the job because every item would fail, as the attempts in `evidence` have shown."""
    message = "there is no key"
    return Verdict(
        claimed, ItemState.PENDING, "doomed", None, code, message, usage=usage or AttemptUsage(), evidence=evidence
    )
