"""Conversations that are exported and imported again: nothing is lost but what the format names before."""

import csv
import io
import json
from collections import Counter
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backstay.library.conversation import Conversation
from backstay.library.formats import Format, FormatOptions, Loss, ReasoningMode, SystemMode, load_format
from backstay.library.imports.shapes import read_row
from backstay.library.loss import BEYOND_TEXT
from backstay.library.record import TURNS
from backstay.library.training_content import count_features, part_type, types_of_fields
from backstay.library.turn import Turn
from backstay.readers.input_errors import InputErrors
from backstay.readers.row import InputRow
from support.data.conversation_strategies import IMAGE_BLOCK, Having, conversations, described

_TEXT_ONLY = Having(names=False, weights=False, reasoning=False, parts=(), calls=False, systems=False)
_LEFT_OUT = (Loss.ROLES, Loss.SYSTEM, Loss.ORDER, Loss.AFTER_ANSWER)


def _written(form: Format, *exported: Conversation) -> bytes:
    return form.head() + b"".join(map(form.chunk, exported)) + form.tail()


def _read(data: bytes, *, split_reasoning: bool = False) -> list[Conversation]:
    """Return the conversations of JSON lines, as an import reads them."""
    rows = [InputRow(number, json.loads(line)) for number, line in enumerate(data.splitlines(), start=1)]
    documents = [
        document
        for row in rows
        for document in read_row(row, InputErrors("the export"), split_reasoning=split_reasoning)
    ]
    return [_to_conversation(document) for document in documents]


def _to_conversation(document: dict[str, Any]) -> Conversation:
    known = ("id", "topic", "persona", "content", "job_id", "item_id")
    others = {name: value for name, value in document.items() if name not in _NATIVE}
    turns = [_to_turn(turn) for turn in document[TURNS]]
    times = {name: document[name] and datetime.fromisoformat(document[name]) for name in ("created_at", "updated_at")}
    return Conversation(
        turns, metadata={**document["metadata"], **others}, **{name: document[name] for name in known}, **times
    )


_NATIVE = ("id", "topic", "persona", "content", "metadata", "job_id", "item_id", "created_at", "updated_at", TURNS)


def _to_turn(turn: dict[str, Any]) -> Turn:
    others = {
        name: value for name, value in turn.items() if name not in ("id", "sequence", "role", "content", "metadata")
    }
    return Turn(turn["role"], turn["content"], id=turn["id"], metadata={**turn["metadata"], **others} or None)


def _same(first: Conversation, second: Conversation, *, as_blocks: bool = False) -> bool:
    """Return whether two conversations are equal, whatever the spaces in arguments of calls.

    As blocks, a list of texts is the same as their text, and blocks that fields hold too are no parts.
    """
    comparable = [
        replace(each, tools=list(each.tools), turns=[_comparable(turn, as_blocks=as_blocks) for turn in each.turns])
        for each in (first, second)
    ]
    return comparable[0] == comparable[1]


def _comparable(turn: Turn, *, as_blocks: bool) -> Turn:
    calls = [replace(call, arguments=_value(call.arguments)) for call in turn.tool_calls]
    parts = list(turn.parts or ())
    if as_blocks:
        parts = [part for part in parts if part_type(part) not in types_of_fields(turn)]
        parts = parts if any(part_type(part) != "text" for part in parts) else []
    return replace(turn, tool_calls=calls, parts=parts or None)


def _value(arguments: str) -> Any:
    try:
        value = json.loads(arguments)
    except ValueError:
        return arguments
    return value if isinstance(value, dict) else arguments


@pytest.mark.parametrize("name", ["messages", "native"])
@given(conversation=conversations(**described()))
def test_what_describes_a_conversation_comes_back_too(name, conversation):
    """With metadata, a conversation that is exported as messages or whole is imported as it was."""
    (imported,) = _read(_written(load_format(name)(FormatOptions(metadata=True)), conversation))

    assert _same(imported, conversation)


@pytest.mark.parametrize(
    ("name", "having"),
    [
        ("messages", Having()),
        ("prompt-completion", Having()),
        ("anthropic", Having(names=False, weights=False, other_arguments=False, parts=(IMAGE_BLOCK,))),
        ("sharegpt", Having(names=False, reasoning=False, parts=())),
        ("chatml", replace(_TEXT_ONLY, systems=True)),
        ("alpaca", _TEXT_ONLY),
    ],
)
@given(data=st.data())
def test_what_a_format_holds_comes_back(name, having, data):
    """A conversation with nothing that the format lacks is imported as it was."""
    form = load_format(name)()
    conversation, _ = form.fit(data.draw(conversations(having)))
    assume(conversation is not None and not form.losses(conversation) and form.refusal(conversation) is None)

    (imported,) = _read(_written(form, conversation))

    assert _same(replace(imported, id=None), conversation, as_blocks=name == "anthropic")


@given(conversation=conversations(Having(parts=())))
def test_reasoning_in_the_text_is_split_off_again(conversation):
    """Reasoning that was written before the text comes back from an import that splits it off."""
    turns = [
        replace(turn, content=turn.content.strip(), reasoning=turn.reasoning and turn.reasoning.strip())
        for turn in conversation.turns
    ]
    stripped = replace(conversation, turns=turns)
    form = load_format("messages")(FormatOptions(reasoning=ReasoningMode.INLINE))

    (imported,) = _read(_written(form, stripped), split_reasoning=True)

    assert _same(imported, stripped)


@pytest.mark.parametrize("name", ["chatml", "csv", "sharegpt", "alpaca", "prompt-completion", "anthropic"])
@given(conversation=conversations())
def test_losses_are_the_difference(name, conversation):
    """What a format names as its losses is what an imported conversation lacks; the other roles and texts come back."""
    form = load_format(name)()
    assume(form.refusal(conversation) is None)
    losses = Counter(form.losses(conversation))
    fitted, _ = form.fit(conversation)
    if fitted is None:
        assert (losses, form.chunk(conversation)) == ({Loss.NO_ANSWER: 1}, b"")
        return

    imported = _read_csv(form, conversation) if name == "csv" else _read(form.chunk(conversation))[0]

    assert len(conversation.turns) - len(imported.turns) == sum(losses.pop(loss, 0) for loss in _LEFT_OUT)
    assert [turn.role for turn in imported.turns] == [turn.role for turn in fitted.turns]
    if name != "csv":  # which makes formulas text
        lacks_call_text = Loss.CALL_TEXT in form.lacks
        texts = ["" if lacks_call_text and turn.tool_calls else turn.content for turn in fitted.turns]
        assert [turn.content for turn in imported.turns] == texts
    before, after = Counter(count_features(fitted)), Counter(count_features(imported))
    assert +Counter({loss: before[loss] - after[loss] for loss in {*BEYOND_TEXT, *form.lacks}}) == losses


def _read_csv(form: Format, conversation: Conversation) -> Conversation:
    rows = csv.reader(io.StringIO(form.chunk(conversation).decode(), newline=""))
    return Conversation([Turn(role, content) for *_, role, content in rows])


@pytest.mark.parametrize("is_shuffled", [False, True])
@given(pairs=st.lists(st.tuples(conversations(), conversations()), max_size=3), data=st.data())
def test_pairs_come_back(is_shuffled, pairs, data):
    """Each pair is one row, in any order of its conversations, and is imported as two that are linked again."""
    linked = [
        replace(each, tools=pair[0].tools, metadata={"preference": side, "preference_pair": str(number)})
        for number, pair in enumerate(pairs)
        for side, each in zip(("chosen", "rejected"), pair, strict=True)
    ]
    exported = data.draw(st.permutations(linked)) if is_shuffled else linked
    form = load_format("trl-preference")()

    lost = sum((Counter(form.losses(each)) for each in exported), Counter(form.final_losses()))
    imported = [_read(line) for each in exported if (line := form.chunk(each))]

    assert lost == {}
    assert len(imported) == len(pairs)
    for chosen, rejected in imported:
        assert chosen.metadata == {**rejected.metadata, "preference": "chosen"}
        match = next(
            pair
            for pair in pairs
            if _same(replace(chosen, metadata={}), pair[0])
            and _same(replace(rejected, metadata={}), replace(pair[1], tools=chosen.tools))
        )
        pairs.remove(match)


@given(conversation=conversations(), options=st.sampled_from([*ReasoningMode]), system=st.sampled_from([*SystemMode]))
def test_options_change_reasoning_and_system_messages_only(conversation, options, system):
    """Options leave everything else as it is, and what was left out on request is no loss."""
    form = load_format("messages")(FormatOptions(reasoning=options, system=system))
    assume(form.refusal(conversation) is None)

    (imported,) = _read(form.chunk(conversation))

    kept = [
        turn for turn in conversation.turns if system is SystemMode.KEEP or turn.role not in ("system", "developer")
    ]
    assert form.losses(conversation) == {}
    assert [turn.role for turn in imported.turns] == [turn.role for turn in kept]
    for turn, original in zip(imported.turns, kept, strict=True):
        is_kept = options is ReasoningMode.KEEP or not original.reasoning
        is_inline = options is ReasoningMode.INLINE and not is_kept
        thought = f"<think>\n{original.reasoning}\n</think>\n\n" if is_inline else ""
        assert turn.content == thought + original.content
        assert turn.reasoning == (original.reasoning if is_kept else None)
        assert (turn.name, turn.tool_call_id) == (original.name, original.tool_call_id)
