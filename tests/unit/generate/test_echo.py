"""Detection of answers that only repeat their prompt."""

import json
import time

import pytest

from backstay import Item
from backstay.generate.prompt import Prompt
from backstay.generate.prompt_echo import repeats_prompt
from backstay.library.turn import Turn

_USER, _ASSISTANT = "Un café? It's for me.", 'Oui, "un café",\nat once.'
_KEYED = {"user_1": _USER, "assistant_1": _ASSISTANT}
_TASK = "\n\nWrite it as exactly 2 turns: they alternate."


def _turns(*texts: str) -> list[Turn]:
    return [Turn(("user", "assistant")[number % 2], text) for number, text in enumerate(texts)]


@pytest.mark.parametrize(
    "example",
    [
        json.dumps(_KEYED, ensure_ascii=False),
        json.dumps(_KEYED),
        json.dumps(_KEYED, indent=4),
        f"User: {_USER}\nAssistant: {_ASSISTANT}",
        f"- **User:** {_USER}\n- **Assistant:** {_ASSISTANT}",
        f"<user>{_USER}</user> <assistant>{_ASSISTANT}</assistant>",
        f"{_USER}\n  {_ASSISTANT}",
        "user_1: 'Un café? It''s for me.'\nassistant_1: 'Oui, \"un café\",\n  at once.'",
        'user_1: >\n  Un café?\n  It\'s for me.\nassistant_1: |\n  Oui, "un café",\n  at once.',
    ],
)
def test_an_example_is_known_in_any_spelling(example):
    """An example is recognised when escaped, wrapped, quoted or written as lines, in either text of the prompt."""
    for prompt in (Prompt(None, f"Like this:\n{example}{_TASK}"), Prompt(example, f"Write.{_TASK}")):
        assert repeats_prompt(_turns(_USER, _ASSISTANT), prompt)
        assert not repeats_prompt(_turns(_USER, "Oui, un café."), prompt)
        assert not repeats_prompt(_turns("Un thé? It's for me.", _ASSISTANT), prompt)
        assert not repeats_prompt(_turns(_USER, _ASSISTANT, "Merci, au revoir."), prompt)


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        ("Begin with: Hello\nEnd with: Bye", ("Hello", "Bye")),
        ("Say why the sea is salty, and where it is deep.", ("why the sea is salty", "where it is deep")),
        ("Topic: Where is my parcel?", ("Where is my parcel?", "It arrives today.")),
    ],
)
def test_an_answer_may_share_words_with_its_prompt(prompt, texts):
    """Short texts, parts of sentences and the topic itself do not count as a repetition."""
    assert not repeats_prompt(_turns(*texts), Prompt(None, prompt))


def test_a_long_answer_to_a_long_prompt_takes_little_time():
    """Long texts designed to be slow to compare take no seconds of CPU time."""
    before = time.process_time()

    assert not repeats_prompt(_turns("a " * 399 + "b", "a " * 100_000), Prompt("a\n" * 50_000, ": a" * 30_000))

    assert time.process_time() - before < 5


def test_a_dialogue_that_is_the_items_own_is_no_example():
    """An answer that repeats the dialogue of its own item is accepted."""
    transcript = f"user: {_USER}\nassistant: {_ASSISTANT}"
    items = [
        Item(id="1", topic=transcript, parameters={}),
        Item(id="1", topic="tea", parameters={"transcript": transcript}),
        Item(id="1", topic="tea", parameters={"turns": [{"text": _USER}, {"text": _ASSISTANT}]}),
    ]
    for item in items:
        prompt = Prompt(None, f"Make JSON of this:\n{transcript}{_TASK}", item)

        assert not repeats_prompt(_turns(_USER, _ASSISTANT), prompt)

    other = Item(id="1", topic="tea", parameters={})
    assert repeats_prompt(_turns(_USER, _ASSISTANT), Prompt(None, f"Like this:\n{transcript}{_TASK}", other))
