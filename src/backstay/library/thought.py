"""Reasoning inside a model's text, between tags such as `<think>` and `</think>`."""

import re

_NAME = r"(?:\w{1,20}:)?(?:think|thinking|thoughts?|reasoning|analysis)"
_OPENING = (
    rf"<{_NAME}(?:\s[^<>]{{0,200}})?>|\[THINK\]|◁think▷|<unused94>(?:thought\b)?|<\|channel\|>analysis<\|message\|>"
)
# A thought in one channel ends where the channel of the answer begins; anything may stand between them.
_CLOSING = (
    rf"</{_NAME}\s{{0,20}}>|\[/THINK\]|◁/think▷|<unused95>"
    r"|(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final[^{\[]{0,60}?<\|message\|>"
)
TAG = re.compile(rf"(?P<opening>{_OPENING})|(?P<closing>{_CLOSING})", re.IGNORECASE)
_TAG_STARTS = ("<", "[", "◁")
THOUGHT_STARTS = frozenset((*_TAG_STARTS, " ", "\t", "\r", "\n"))
"""First characters of a text that may begin with a thought."""


def split_thought(text: str) -> tuple[str | None, str]:
    """Return the thought at the start of a text, or None, and the text after it."""
    start = text.lstrip()
    if not start.startswith(_TAG_STARTS) or (mark := TAG.match(start)) is None or mark["closing"]:
        return None, text
    close = next((tag for tag in TAG.finditer(start, mark.end()) if tag["closing"]), None)
    if close is None:
        return None, text
    return start[mark.end() : close.start()].strip() or None, start[close.end() :].lstrip()
