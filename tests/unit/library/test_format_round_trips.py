"""Conversations that are exported and imported again: nothing is lost but what the format names before."""

import csv
import io
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backstay.errors import InvalidRow
from backstay.library.conversation import Conversation
from backstay.library.formats import Format, FormatOptions, Loss, ReasoningMode, SystemMode, load_format
from backstay.library.loss import MORE_THAN_TEXT
from backstay.library.review import Review
from backstay.library.training_content import count_features
from backstay.library.turn import Turn
from support.data.conversation_strategies import IMAGE_BLOCK, REDACTED, TEXT, Having, conversations, described, reviews
from support.data.exported import export
from support.data.imported import equal, import_lines, import_rows

_TEXT_ONLY = Having(names=False, weights=False, reasoning=False, parts=(), calls=False, systems=False)
_LEFT_OUT = (Loss.NO_TEXT, Loss.ROLES, Loss.SYSTEM, Loss.ORDER, Loss.AFTER_ANSWER)
_METADATA = st.fixed_dictionaries(
    {},
    optional={
        "reasoning_signature": TEXT | st.integers(0, 9),
        "is_error": st.booleans() | TEXT,
        "weight": st.sampled_from([0, 1, "high"]),
    },
)


@pytest.mark.parametrize("name", ["messages", "native"])
@given(conversation=conversations(**described()))
def test_what_describes_a_conversation_comes_back_too(name, conversation):
    """With metadata, a conversation that is exported as messages or whole is imported as it was."""
    (imported,) = import_lines(export(load_format(name)(FormatOptions(metadata=True)), conversation))

    assert equal(imported, conversation)


@given(conversation=conversations(**described()), review=reviews())
def test_a_review_comes_back(conversation, review):
    """A review is in the native format, and is imported as it was; it is no part of what `to_dict` returns."""
    reviewed = replace(conversation, review=review)

    (imported,) = import_lines(export(load_format("native")(), reviewed))

    assert (imported.review, equal(imported, conversation)) == (review, True)
    assert (reviewed.to_dict(), reviewed.digest()) == (conversation.to_dict(), conversation.digest())


@pytest.mark.parametrize(
    "review",
    ["good", {"stars": 5}, {"status": "kept"}, {"status": "kept", "tags": [], "reviewed_at": None, "mine": 1}],
)
def test_what_is_no_review_becomes_metadata(review):
    """The value of another program under the key of a review is kept as metadata."""
    row = {"messages": [{"role": "user", "content": "x"}], "review": review}

    (imported,) = import_rows([row])

    assert (imported.review, imported.metadata) == (None, {"review": review})


@pytest.mark.parametrize(
    "wrong",
    [{"rating": 6}, {"status": "good"}, {"tags": "a"}, {"tags": [["a"]]}, {"tags": ["a\n"]}, {"reviewed_at": "soon"},
     {"note": "\ud800"}, {"reviewer": 3}, {"reviewed_at": None}],
)  # fmt: skip
def test_a_wrong_review_is_refused(wrong):
    """A row whose review has a value that no review has is refused by its line."""
    review = {**Review(reviewed_at=datetime(2026, 1, 1, tzinfo=UTC)).to_dict(), **wrong}

    with pytest.raises(InvalidRow, match="the export line 1: its review is wrong: "):
        import_rows([{"messages": [{"role": "user", "content": "x"}], "review": review}])


@pytest.mark.parametrize(
    ("name", "options", "having"),
    [
        ("messages", {}, Having()),
        ("messages", {"parsed_arguments": True}, Having()),
        ("prompt-completion", {}, Having()),
        (
            "anthropic",
            {},
            Having(
                names=False, weights=False, other_arguments=False, custom_calls=False, parts=(IMAGE_BLOCK, REDACTED)
            ),
        ),
        ("sharegpt", {}, Having(names=False, reasoning=False, custom_calls=False, parts=())),
        ("chatml", {}, replace(_TEXT_ONLY, systems=True)),
        ("alpaca", {}, _TEXT_ONLY),
    ],
)
@given(data=st.data())
def test_what_a_format_holds_comes_back(name, options, having, data):
    """A conversation with nothing that the format lacks is imported as it was."""
    form = load_format(name)(FormatOptions(**options))
    conversation = form.prepare(data.draw(conversations(having))).conversation
    assume(conversation is not None and not form.prepare(conversation).losses)

    (imported,) = import_lines(export(form, conversation))

    assert equal(replace(imported, id=None), conversation, as_blocks=name == "anthropic")


@given(conversation=conversations(Having(parts=())))
def test_reasoning_in_the_text_is_split_off_again(conversation):
    """Reasoning that was written before the text comes back from an import that splits it off."""
    turns = [
        replace(turn, content=turn.content.strip(), reasoning=turn.reasoning and turn.reasoning.strip())
        for turn in conversation.turns
    ]
    stripped = replace(conversation, turns=turns)
    form = load_format("messages")(FormatOptions(reasoning=ReasoningMode.INLINE))

    (imported,) = import_lines(export(form, stripped), split_reasoning=True)

    assert equal(imported, stripped)


@pytest.mark.parametrize("name", ["chatml", "csv", "sharegpt", "alpaca", "prompt-completion", "anthropic"])
@given(conversation=conversations())
def test_losses_are_the_difference(name, conversation):
    """What a format names as its losses is what an imported conversation lacks; the other roles and texts come back."""
    form = load_format(name)()
    prepared = form.prepare(conversation)
    assume(prepared.refusal is None)
    losses, supported = Counter(prepared.losses), prepared.conversation
    if supported is None:
        assert losses == {Loss.NO_ANSWER: 1}
        return

    imported = _read_csv(form, supported) if name == "csv" else import_lines(form.chunk(supported))[0]

    assert len(conversation.turns) - len(imported.turns) == sum(losses.pop(loss, 0) for loss in _LEFT_OUT)
    assert [turn.role for turn in imported.turns] == [turn.role for turn in supported.turns]
    if name != "csv":  # which makes formulas text
        lacks_call_text = Loss.CALL_TEXT in form.unsupported
        texts = ["" if lacks_call_text and turn.tool_calls else turn.content for turn in supported.turns]
        assert [turn.content for turn in imported.turns] == texts
    del losses[Loss.DEVELOPER]
    if name == "alpaca":
        del losses[Loss.CALL_TEXT]
    is_text_only = Loss.TOOL_CALLS in form.unsupported
    before = Counter(count_features(conversation if is_text_only else supported))
    if not is_text_only:
        before[Loss.PARTS] += form.remove_unsupported(conversation)[1].get(Loss.PARTS, 0)
    after = Counter(count_features(imported))
    assert +Counter({loss: before[loss] - after[loss] for loss in {*MORE_THAN_TEXT, *form.unsupported}}) == losses


@pytest.mark.parametrize("name", ["messages", "prompt-completion", "anthropic", "sharegpt"])
@given(conversation=conversations(Having(weights=False)), data=st.data())
def test_metadata_of_turns_comes_back_or_is_named(name, conversation, data):
    """The metadata of turns comes back unchanged if and only if no loss and no omitted field names it."""
    turns = [replace(turn, metadata=data.draw(_METADATA) or None) for turn in conversation.turns]
    form = load_format(name)()
    prepared = form.prepare(replace(conversation, turns=turns))
    assume(prepared.conversation is not None)
    supported = prepared.conversation

    (imported,) = import_lines(form.chunk(supported))

    is_named = "turn metadata" in form.omitted_fields(supported) or Loss.WEIGHTS in prepared.losses
    is_equal = [turn.metadata for turn in imported.turns] == [turn.metadata for turn in supported.turns]
    assert is_equal is not is_named


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

    prepared = [form.prepare(each) for each in exported]
    lines = [form.chunk(each.conversation) for each in prepared if each.conversation is not None]
    imported = [import_lines(line) for line in lines if line]

    assert not any(each.losses for each in prepared)
    assert not form.final_losses()
    assert len(imported) == len(pairs)
    for chosen, rejected in imported:
        assert chosen.metadata == {**rejected.metadata, "preference": "chosen"}
        match = next(
            pair
            for pair in pairs
            if equal(replace(chosen, metadata={}), pair[0])
            and equal(replace(rejected, metadata={}), replace(pair[1], tools=chosen.tools))
        )
        pairs.remove(match)


@given(conversation=conversations(), options=st.sampled_from([*ReasoningMode]), system=st.sampled_from([*SystemMode]))
def test_options_change_reasoning_and_system_messages_only(conversation, options, system):
    """Options leave everything else as it is, and what was left out on request is no loss."""
    form = load_format("messages")(FormatOptions(reasoning=options, system=system))
    prepared = form.prepare(conversation)
    assume(prepared.conversation is not None)

    (imported,) = import_lines(form.chunk(prepared.conversation))

    kept = [
        turn for turn in conversation.turns if system is SystemMode.KEEP or turn.role not in ("system", "developer")
    ]
    assert prepared.losses == {}
    assert [turn.role for turn in imported.turns] == [turn.role for turn in kept]
    for turn, original in zip(imported.turns, kept, strict=True):
        is_kept = options is ReasoningMode.KEEP or not original.reasoning
        is_inline = options is ReasoningMode.INLINE and not is_kept
        thought = f"<think>\n{original.reasoning}\n</think>\n\n" if is_inline else ""
        assert turn.content == thought + original.content
        assert turn.reasoning == (original.reasoning if is_kept else None)
        parts = [part for part in original.parts or () if part != REDACTED or options is not ReasoningMode.DROP]
        if thought and parts:
            parts.insert(0, {"type": "text", "text": thought})
        assert (turn.parts or []) == parts
        assert (turn.name, turn.tool_call_id) == (original.name, original.tool_call_id)
