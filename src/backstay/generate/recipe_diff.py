"""How two recipes differ, field by field. Texts are not quoted: they are prompts."""

from collections.abc import Mapping, Sequence
from typing import Any

from backstay.batch.recipe import FrozenRecipe

_TEXTS = frozenset({"system", "prompt", "user", "assistant"})


def differences(stored: FrozenRecipe, given: FrozenRecipe) -> Sequence[str]:
    """Say what is in the stored recipe and what in the given one, for each field that differs."""
    return _between(stored, given, "")


def _between(stored: Mapping[str, Any], given: Mapping[str, Any], place: str) -> list[str]:
    told: list[str] = []
    for name in dict.fromkeys([*stored, *given]):
        one, other = stored.get(name), given.get(name)
        if one == other and type(one) is type(other):
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            told += _between(one, other, f"{place}{name}.")
        elif name in _TEXTS and isinstance(one, str | None) and isinstance(other, str | None):
            told.append(f"{place}{name}: {_of_texts(one, other)}")
        else:
            told.append(f"{place}{name}: {_shown(one)}, now {_shown(other)}")
    return told


def _of_texts(one: str | None, other: str | None) -> str:
    if one is None or other is None:
        return "there was none, now there is" if one is None else "there was one, now there is none"
    before, after = one.splitlines(), other.splitlines()
    pairs = zip(before, after, strict=False)
    line = next((number for number, (a, b) in enumerate(pairs, start=1) if a != b), min(len(before), len(after)) + 1)
    return f"differs from line {line} on ({len(one):,} characters, now {len(other):,})"


def _shown(value: Any) -> str:
    if value is None or value is False or value == {}:
        return "none"
    text = str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
