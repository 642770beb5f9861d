"""Processors that note what they were called with."""

import asyncio
from collections.abc import Callable
from typing import Any

from backstay import Conversation, Item, Work
from support.data.conversations import conversation


class Writer:
    """Answers every item with a conversation about its topic, or with what `answer` makes of item and attempt."""

    def __init__(self, answer: Callable[[Item, Work], Any] | None = None) -> None:
        self.calls: list[str] = []
        self.most_at_once = 0
        self._at_once = 0
        self._answer = answer

    async def __call__(self, item: Item, work: Work) -> Any:
        self.calls.append(item.id)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await asyncio.sleep(0)
            return self.about(item) if self._answer is None else self._answer(item, work)
        finally:
            self._at_once -= 1

    @staticmethod
    def about(item: Item) -> Conversation:
        return conversation(item.topic)


class Gate:
    """Holds its first callers until it is opened; says when `count` of them are there."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.cancelled: list[str] = []
        self._open = asyncio.Event()
        self._news = asyncio.Event()

    async def __call__(self, item: Item) -> Conversation:
        self.calls.append(item.id)
        self._news.set()
        try:
            await self._open.wait()
        except asyncio.CancelledError:
            self.cancelled.append(item.id)
            raise
        return conversation(item.topic)

    async def reached(self, count: int) -> None:
        """Return when that many calls were made."""
        async with asyncio.timeout(60):
            while len(self.calls) < count:
                self._news.clear()
                await self._news.wait()

    def open(self) -> None:
        """Let everybody through, from now on."""
        self._open.set()
