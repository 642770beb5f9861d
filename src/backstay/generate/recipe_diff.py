"""Differences between two recipes, field by field. Errors do not quote texts, since they are prompts."""

from collections.abc import Mapping, Sequence
from typing import Any

_MAX_LINE, _MAX_LINES = 200, 60  # characters, lines
_TEXT_FIELDS = frozenset({"system", "prompt", "user", "assistant"})


def differences(
    stored: Mapping[str, Any], current: Mapping[str, Any], prefix: str = "", *, with_texts: bool = False
) -> Sequence[str]:
    """Describe each field that differs, with its stored and its current value; `prefix` names the table around it.

    Of a text, this is where it differs; `with_texts` adds the lines that differ, each as a line of the description.
    """
    lines: list[str] = []
    for name in dict.fromkeys([*stored, *current]):
        before, after = stored.get(name), current.get(name)
        if before == after and type(before) is type(after):
            continue
        if isinstance(before, Mapping | None) and isinstance(after, Mapping | None):
            lines += differences(before or {}, after or {}, f"{prefix}{name}.", with_texts=with_texts)
        elif name in _TEXT_FIELDS and isinstance(before, str | None) and isinstance(after, str | None):
            changed = _changed_lines(before or "", after or "") if with_texts else []
            lines.append("\n".join([f"{prefix}{name}: {_text_difference(before, after)}", *changed]))
        else:
            lines.append(f"{prefix}{name}: {_format_value(before)}, now {_format_value(after)}")
    return lines


def _text_difference(before: str | None, after: str | None) -> str:
    if before is None or after is None:
        return "added" if before is None else "removed"
    old, new = before.splitlines(), after.splitlines()
    pairs = zip(old, new, strict=False)
    line = next((number for number, (a, b) in enumerate(pairs, start=1) if a != b), min(len(old), len(new)) + 1)
    return f"differs from line {line} on ({len(before):,} characters, now {len(after):,})"


def _changed_lines(before: str, after: str) -> Sequence[str]:
    """Return the removed (`-`) and added (`+`) lines with one line around them, up to a limit."""
    import difflib  # loaded late: only needed where recipes differ

    heads, shown = 2, difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
    lines = [line if len(line) <= _MAX_LINE else f"{line[: _MAX_LINE - 1]}…" for line in list(shown)[heads:]]
    more = len(lines) - _MAX_LINES
    return [*lines[:_MAX_LINES], f"… and {more:,} more lines"] if more > 0 else lines


def _format_value(value: Any) -> str:
    if value is None:
        return "none"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
