"""What a model is told for one item."""

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

_ANSWER = "Answer with one JSON object and nothing else."
_TASK = f"""

Write it as exactly {{turns}} turns{{language}}: they alternate, the first is the user's, none is empty.{{roles}}
{_ANSWER} It has these keys, in this order, each with the text of that turn:
{{keys}}"""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent: a system text, where there is one, and a user's."""

    system: str | None
    user: str
    item: Item | None = None
    """What it was made for: texts that are the item's own are no example in the recipe."""

    def with_hint(self, hint: str) -> "Prompt":
        """Return the prompt with a line about what was wrong with an earlier answer to it."""
        line = f"An earlier answer was refused: {hint}."
        before, answer, after = self.user.rpartition(_ANSWER)
        # The keys stay what the prompt ends with.
        user = f"{before}{line}\n{answer}{after}" if answer else f"{self.user}\n\n{line}"
        return replace(self, user=user)


class PromptTemplates:
    """Makes the prompt of each item by one recipe's templates."""

    def __init__(
        self, *, system: str | None, user: str, roles: Mapping[str, str], turns: int, language: str | None
    ) -> None:
        """Compile the templates. Raises RecipeError when one is none."""
        self._system = Template(system, "the system prompt") if system else None
        self._user = Template(user, "the prompt")
        self._roles = {name: Template(text, f"the role of the {name}") for name, text in roles.items()}
        keys = ", ".join(f'"{key}"' for key in turn_keys(turns))
        before, self._task_end = _TASK.split("{roles}")
        self._task = before.format(turns=turns, language=f", in {language}" if language else "")
        self._task_end = self._task_end.format(keys=keys)

    def render(self, item: Item, where: str) -> Prompt:
        """Return the prompt of an item. Raises RecipeError, naming `where` it stands, when it cannot be made."""
        values = _values(item)
        roles = "".join(f"\nThe {name} is {text.render(values, where)}." for name, text in self._roles.items())
        return Prompt(
            self._system.render(values, where) if self._system is not None else None,
            self._user.render(values, where).rstrip() + self._task + roles + self._task_end,
            item,
        )


def role_of(number: int) -> str:
    """Return whose turn number `number` is, from 0: the user begins."""
    return "assistant" if number % 2 else "user"


@cache
def turn_keys(turns: int) -> tuple[str, ...]:
    """Return the keys of a conversation's turns: user_1, assistant_1, user_2, …

    A schema with one required key a turn makes roles and number right by itself, with every provider: no schema of a
    list can say that roles alternate.
    """
    return tuple(f"{role_of(number)}_{number // 2 + 1}" for number in range(turns))


def _values(item: Item) -> dict[str, Any]:
    fixed = {
        "id": item.id,
        "topic": item.topic,
        "persona": item.persona or AbsentValue("the item has no persona", name="persona"),
        "parameters": dict(item.parameters),
    }
    return {**fixed, **item.parameters} if "parameters" not in item.parameters else {**item.parameters, **fixed}
