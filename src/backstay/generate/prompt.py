"""The prompt of one item, rendered from the templates of a recipe, and estimates of tokens."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from backstay.batch.item import Item
from backstay.generate.template import AbsentValue, Template

PROMPT = """\
Write a conversation about this topic: {{ topic }}
{%- if persona %}
The user is {{ persona }}.
{%- endif %}"""

_ANSWER_LINE = "Answer with one JSON object and nothing else."
_TASK_TEXT = f"""

Write it as exactly {{turns}} turns{{language}}: they alternate, the first is the user's, none is empty.{{roles}}
{_ANSWER_LINE} It has these keys, in this order, each with the text of that turn:
{{keys}}"""

_BYTES_PER_TOKEN = 4
_TOKENS_PER_TURN = 100
_OVERHEAD_TOKENS = 10


@dataclass(frozen=True, slots=True)
class Prompt:
    """A user text and an optional system text."""

    system: str | None
    user: str
    item: Item | None = None
    """The item: an answer may repeat its texts, but not the examples of the recipe."""

    def with_hint(self, hint: str) -> "Prompt":
        """Return the prompt with a line about the fault of an earlier answer."""
        line = f"An earlier answer was rejected: {hint}."
        before, answer, after = self.user.rpartition(_ANSWER_LINE)
        # The prompt still ends with the keys.
        user = f"{before}{line}\n{answer}{after}" if answer else f"{self.user}\n\n{line}"
        return replace(self, user=user)


class PromptTemplates:
    """The compiled prompt templates of one recipe."""

    def __init__(
        self, *, system: str | None, user: str, roles: Mapping[str, str], turns: int, language: str | None
    ) -> None:
        """Compile the templates. Raises RecipeError if one is invalid."""
        self._system = Template(system, "the system prompt") if system else None
        self._user = Template(user, "the prompt")
        self._roles = {name: Template(text, f"the role of the {name}") for name, text in roles.items()}
        keys = ", ".join(f'"{key}"' for key in turn_keys(turns))
        before, self._task_end = _TASK_TEXT.split("{roles}")
        self._task = before.format(turns=turns, language=f", in {language}" if language else "")
        self._task_end = self._task_end.format(keys=keys)

    def render(self, item: Item, where: str) -> Prompt:
        """Render an item's prompt. If that fails, raise RecipeError, which names the item's position `where`."""
        values = _values(item)
        roles = "".join(f"\nThe {name} is {text.render(values, where)}." for name, text in self._roles.items())
        return Prompt(
            self._system.render(values, where) if self._system is not None else None,
            self._user.render(values, where).rstrip() + self._task + roles + self._task_end,
            item,
        )


def role_of(number: int) -> str:
    """Return the role of the turn with this number, counted from 0; the user begins."""
    return "assistant" if number % 2 else "user"


@cache
def turn_keys(turns: int) -> tuple[str, ...]:
    """Return the keys of a conversation's turns: user_1, assistant_1, user_2, …

    A schema with one required key per turn enforces roles and count with every provider, whereas the schema of a list
    cannot require that roles alternate.
    """
    return tuple(f"{role_of(number)}_{number // 2 + 1}" for number in range(turns))


def estimate_tokens_in(prompt: Prompt) -> int:
    """Estimate the tokens of a prompt as a quarter of its bytes in UTF-8."""
    size = len(prompt.user.encode()) + len((prompt.system or "").encode())
    return _OVERHEAD_TOKENS + -(-size // _BYTES_PER_TOKEN)


def estimate_tokens_out(turns: int, max_tokens: int | None) -> int:
    """Estimate the tokens of an answer before any was received."""
    expected = _TOKENS_PER_TURN * turns
    return min(expected, max_tokens) if max_tokens is not None else expected


def _values(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "topic": item.topic,
        "persona": item.persona or AbsentValue("the item has no persona", name="persona"),
        **item.parameters,
        "parameters": dict(item.parameters),  # not a column of this name, because it is the way to all columns
    }
