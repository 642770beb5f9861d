"""A program that reviews all conversations and is killed at its N-th commit or statement: python -m
integration._killed_review URL before:3|statement:2|piece:2. With `piece`, each statement is committed at once."""

import asyncio
import sys

from backstay import Backstay, ReviewChange, ReviewStatus, Selection
from support.faults.sabotage import die_at_commit
from support.faults.statement_kills import die_at_statement

CHANGE = ReviewChange(ReviewStatus.KEPT, 4, "note", add_tags=["a", "b"])


async def review(url: str) -> None:
    async with Backstay.open(url) as backstay:
        await backstay.reviews.change(Selection(everything=True), CHANGE, reviewer="first")


if __name__ == "__main__":
    _URL, _WHEN = sys.argv[1:]
    _WHICH, _, _NUMBER = _WHEN.partition(":")
    if _WHICH in ("statement", "piece"):
        die_at_statement(int(_NUMBER), in_pieces=_WHICH == "piece")
    else:
        die_at_commit(_WHICH, int(_NUMBER))
    asyncio.run(review(_URL))
