"""Conversations made up by hypothesis: with tools, parts, reasoning and odd Unicode."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from backstay.library.canonical_json import is_encodable
from backstay.library.conversation import Conversation
from backstay.library.review import Review, ReviewStatus
from backstay.library.turn import ToolCall, Turn, text_of_parts

PICTURE = {"type": "image_url", "image_url": {"url": "https://pictures.invalid/a.png"}}

REDACTED = {"type": "redacted_thinking", "data": "ZW5jcnlwdGVk"}

IMAGE_BLOCK = {"type": "image", "source": {"type": "url", "url": "https://pictures.invalid/a.png"}}

REFUSAL = {"type": "refusal", "refusal": "No."}
AUDIO = {"type": "audio", "audio": {"id": "audio_1", "data": "QUJD", "transcript": "Yes."}}
"""Parts of an answer that OpenAI's API has next to its content, if there is no other."""

# All of Unicode but halves of surrogate pairs and NUL, which cannot be stored.
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
TEXT = ANY_TEXT.filter(str.strip)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=3)

# JSON objects at the limits of what an import reads.
UNUSUAL_ARGUMENTS = st.one_of(
    st.sampled_from([-(2**63) - 1, -(2**63), 2**64 - 1, 2**64, 10**30]).map(lambda number: f'{{"n": [{number}]}}'),
    st.integers(94, 101).map(lambda depth: '{"a":' * depth + "1" + "}" * depth),
    st.sampled_from(['{"n": 1.0}', '{"n": 1E5}', '{"n": -0}', '{"n": 0.1000000000000000055}', '{"n": 1, "n": 2}']),
    st.sampled_from(['{"n": 1e400}', '{"n": NaN}', '{"n": "\\ud800"}', '{"n": "18446744073709551616"}']),
)


@dataclass(frozen=True, slots=True)
class Having:
    """What the turns of made-up conversations may have next to role and text."""

    names: bool = True
    weights: bool = True
    reasoning: bool = True
    parts: Sequence[Mapping[str, Any]] = (PICTURE, REDACTED, REFUSAL, AUDIO)
    """The parts that a turn may have among texts; none of either kind if there are none here."""
    calls: bool = True
    other_arguments: bool = True
    """Whether the arguments of a call may be no JSON object."""
    custom_calls: bool = True
    """Whether a call may be one of a custom tool, whose input is text."""
    systems: bool = True
    """Whether system and developer messages may follow other turns."""


@st.composite
def conversations(draw: st.DrawFn, /, having: Having = Having(), **fields: Any) -> Conversation:
    """Return a strategy of conversations; `fields` are strategies of their further fields."""
    roles = st.sampled_from(["user", "assistant", *(["tool"] if having.calls else [])])
    first = [draw(_turns("system", having))] if draw(st.booleans()) else []
    later = roles | st.sampled_from(["system", "developer"]) if having.systems else roles
    turns = [draw(_turns(draw(later), having)) for _ in range(draw(st.integers(1, 5)))]
    tools = draw(st.lists(_TOOLS, max_size=2)) if having.calls else []
    return Conversation([*first, *turns], tools=tools, **{name: draw(values) for name, values in fields.items()})


def described() -> dict[str, st.SearchStrategy[Any]]:
    """Return strategies of the fields that describe a conversation."""
    texts = st.none() | TEXT
    times = st.none() | st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
    metadata = st.dictionaries(TEXT.filter(lambda key: key != "tools"), JSON, max_size=2)
    return {
        **dict.fromkeys(("id", "job_id", "item_id"), st.none() | st.from_regex(r"[a-z0-9-]{1,9}", fullmatch=True)),
        **dict.fromkeys(("topic", "persona", "content"), texts),
        **dict.fromkeys(("created_at", "updated_at"), times),
        "metadata": metadata,
    }


def reviews() -> st.SearchStrategy[Review]:
    """Return the strategy of reviews."""
    lines = st.from_regex(r"[^\s\x00-\x1f\x7f-\x9f]{1,9}", fullmatch=True).filter(is_encodable)
    return st.builds(
        Review,
        st.sampled_from(ReviewStatus),
        st.none() | st.integers(1, 5),
        st.sets(lines.filter(lambda tag: "," not in tag), max_size=3).map(lambda tags: tuple(sorted(tags))),
        st.none() | TEXT,
        st.none() | lines,
        st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    )


_TOOLS = st.builds(
    lambda name, schema: {"type": "function", "function": {"name": name, "parameters": {"type": "object", **schema}}},
    TEXT,
    OBJECT,
)


@st.composite
def _turns(draw: st.DrawFn, role: str, having: Having) -> Turn:
    def maybe(allowed: bool, values: st.SearchStrategy[Any], otherwise: Any = None) -> Any:
        return draw(values) if allowed and draw(st.booleans()) else otherwise

    turn = Turn(role, draw(TEXT), name=maybe(having.names, TEXT))
    if weight := maybe(having.weights, st.sampled_from([0, 1]).map(lambda number: {"weight": number})):
        turn = replace(turn, metadata=weight)
    if role == "tool":
        turn = replace(turn, content=draw(ANY_TEXT), tool_call_id=draw(st.none() | TEXT))
    if role == "assistant":
        calls = maybe(having.calls, st.lists(_calls(having), min_size=1, max_size=3).map(tuple), ())
        turn = replace(turn, reasoning=maybe(having.reasoning, TEXT), tool_calls=calls)
        if turn.may_be_empty:
            turn = replace(turn, content=draw(ANY_TEXT))
    if parts := maybe(bool(having.parts) and role in ("user", "assistant"), _parts(having)):
        turn = replace(turn, parts=parts, content=text_of_parts(parts))
    return turn


def _calls(having: Having) -> st.SearchStrategy[ToolCall]:
    arguments = OBJECT.map(json.dumps) | UNUSUAL_ARGUMENTS
    others = ANY_TEXT if having.other_arguments else arguments
    calls = st.builds(ToolCall, st.none() | TEXT, TEXT, arguments | others)
    custom = st.builds(ToolCall, st.none() | TEXT, TEXT, ANY_TEXT, extra=st.just({"type": "custom"}))
    return calls | custom if having.custom_calls else calls


def _parts(having: Having) -> st.SearchStrategy[list[Any]]:
    texts: st.SearchStrategy[dict[str, Any]] = st.builds(dict, type=st.just("text"), text=TEXT)
    return st.lists(texts | st.sampled_from(having.parts or [PICTURE]), min_size=1, max_size=3)
