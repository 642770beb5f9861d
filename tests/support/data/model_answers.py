"""Answers of two turns as providers and models really give them, each with its expected result.

Written for the tests after real answers. A row is one answer: its body, and either the texts of the turns with their
metadata, or the code of the failure and whether a retry may help.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

USER, ASSISTANT = "How deep is the sea?", "About 3,700 metres on average."
GOOD = {"user_1": USER, "assistant_1": ASSISTANT}
DRAFT = {"user_1": "DRAFT question", "assistant_1": "DRAFT answer"}
TEXT = json.dumps(GOOD)
DRAFT_TEXT = json.dumps(DRAFT)
EXAMPLE = {"user_1": "What is rain?", "assistant_1": "Water that falls."}
"""An example in the prompt of all answers."""
INSTRUCTIONS = f"Keep to this form: {json.dumps(EXAMPLE, indent=1)}"
"""The system prompt of all rows."""


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """An answer with its expected result."""

    name: str
    provider: str
    body: Any
    """A JSON value, or raw bytes."""
    texts: tuple[str, ...] | None = (USER, ASSISTANT)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """The expected metadata, without the writer's name."""
    turn_reasoning: str | None = None
    """The expected reasoning of the assistant's turn."""
    code: str | None = None
    may_retry: bool = True
    status: int = 200

    @property
    def speaks(self) -> str:
        """The provider class that parses it."""
        return "anthropic" if self.provider == "anthropic" else "openai"


def chat(content: Any, finish: Any = "stop", **more: Any) -> dict[str, Any]:
    """Return a body in the shape of OpenAI's chat completions; `more` goes into its message."""
    message = {"role": "assistant", "content": content, **more}
    return {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    }


def blocks(*content: Any, stop: Any = "end_turn") -> dict[str, Any]:
    """Return a body in the shape of Anthropic's messages."""
    usage = {"input_tokens": 10, "output_tokens": 5}
    return {"type": "message", "role": "assistant", "content": list(content), "stop_reason": stop, "usage": usage}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _call(value: Any, name: str = "conversation") -> dict[str, Any]:
    return {"type": "tool_use", "id": "t1", "name": name, "input": value}


def _function(arguments: Any, name: str = "conversation") -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}


def _good(
    name: str, provider: str, body: Any, *texts: str, turn_reasoning: str | None = None, **metadata: Any
) -> AnswerRow:
    return AnswerRow(name, provider, body, texts or (USER, ASSISTANT), metadata, turn_reasoning)


def _bad(name: str, provider: str, body: Any, code: str = "wrong_shape", *, may_retry: bool = True) -> AnswerRow:
    return AnswerRow(name, provider, body, None, code=code, may_retry=may_retry)


def _thinking() -> Iterator[AnswerRow]:
    thought = f"First: {DRAFT_TEXT} is weak."
    for tag in ("think", "thinking", "reasoning", "THINK", "thought"):
        yield _good(f"<{tag}>", "vllm", chat(f"<{tag}>{thought}</{tag}>\n\n{TEXT}"), reasoning=thought)
    pairs = {
        "[THINK]": "[/THINK]",
        "◁think▷": "◁/think▷",
        "<think lang='en'>": "</think>",
        "<seed:think>": "</seed:think>",
        "<analysis>": "</analysis >",
        "<thoughts>": "</thoughts>",
        "<unused94>thought\n": "<unused95>",
        "<|channel|>analysis<|message|>": "<|end|><|start|>assistant<|channel|>final<|message|>",
        "<|start|>assistant<|channel|>analysis<|message|>": "<|channel|>final <|constrain|>json<|message|>",
    }
    for opening, closing in pairs.items():
        start = opening.removeprefix("<|start|>assistant")
        before = opening.removesuffix(start)
        yield _good(f"{opening}…", "vllm", chat(f"{before}{start}{thought}{closing}{TEXT}"), reasoning=thought)
        refusal = chat(f"{opening}{DRAFT_TEXT}{closing} I am sorry, I can't.")
        yield _bad(f"{opening}, a draft, a refusal", "vllm", refusal, "unreadable_answer")
    channel = "<|channel|>analysis<|message|>"
    yield _bad("no final channel", "vllm", chat(f"{channel}{DRAFT_TEXT}"), "unreadable_answer")
    yield _good("end of a turn after the answer", "vllm", chat(f"{TEXT}<|end|>"))
    shapes: dict[str, dict[str, Any]] = {
        "thought": {"type": "thought", "text": thought},
        "thought in its field": {"type": "thought", "thought": thought},
        "reasoning_text": {"type": "reasoning_text", "text": thought},
        "thought: true": {"text": thought, "thought": True},
    }
    for name, shape in shapes.items():
        yield _good(f"part: {name}", "gemini", chat([shape, _text(TEXT)]), reasoning=thought)
        yield _bad(f"only a part: {name}", "gemini", chat([{**shape, "text": DRAFT_TEXT}]), "empty_answer")
    inside = {**GOOD, "assistant_1": f"<think>Be kind.</think>\n{ASSISTANT}"}
    yield _good("thinking before a turn's words", "ollama", chat(json.dumps(inside)), turn_reasoning="Be kind.")
    empty = {**GOOD, "assistant_1": f"<think>\n</think>{ASSISTANT}"}
    yield _good("empty thinking before a turn's words", "ollama", chat(json.dumps(empty)))
    both = f"<think>A plan.</think>{json.dumps(inside)}"
    yield _good("thinking before both", "ollama", chat(both), reasoning="A plan.", turn_reasoning="Be kind.")
    nothing = {**GOOD, "assistant_1": "<think>Be kind.</think>"}
    yield _bad("thinking in place of a turn's words", "ollama", chat(json.dumps(nothing)))
    for number, text in enumerate(
        ("<think> opens it.", "[1] <think>a</think>", "It is <think>a</think>.", "</think> b")
    ):
        yield _good(f"tags of a turn {number}", "openai", chat(json.dumps({**GOOD, "assistant_1": text})), USER, text)
    asked = {**GOOD, "user_1": "<think>a</think> What is that?"}
    yield _good("tags of a user", "openai", chat(json.dumps(asked)), "<think>a</think> What is that?", ASSISTANT)
    yield _good("no opening tag", "deepseek", chat(f"{thought}\n</think>\n\n{TEXT}"), reasoning=thought)
    yield _good("empty thinking", "ollama", chat(f"<think>\n\n</think>\n\n{TEXT}"))
    yield _good(
        "two thoughts", "ollama", chat(f"<think>One.</think>{TEXT}<think>Good.</think>"), reasoning="One.\n\nGood."
    )
    yield _good(
        "nested thinking",
        "llama.cpp",
        chat(f"<think>a <think>b</think> {DRAFT_TEXT}</think>{TEXT}"),
        reasoning=f"a b {DRAFT_TEXT}",
    )
    yield _good("unclosed, then the answer", "ollama", chat(f"<think>A plan.\n{TEXT}"), reasoning="A plan.")
    yield _bad("unclosed, a draft, prose", "ollama", chat(f"<think>{DRAFT_TEXT} no, I"), "unreadable_answer")
    yield _bad("unclosed, a cut draft", "ollama", chat(f'<think>{{"a": {DRAFT_TEXT}, "b": '), "unreadable_answer")
    yield _bad("a draft, a lone tag, no answer", "vllm", chat(f"{DRAFT_TEXT}\n</think>\nNo."), "unreadable_answer")
    yield _bad("only a thought", "vllm", chat(f"<think>{DRAFT_TEXT}</think>"), "unreadable_answer")
    yield _bad("answer given as thought", "llama.cpp", chat("", reasoning_content=TEXT), "empty_answer")
    yield _bad("answer null, all thought", "vllm", chat(None, reasoning=TEXT), "empty_answer")
    yield _good(
        "tags in the texts",
        "openai",
        chat('{"user_1": "What is </think> for?", "assistant_1": "It ends <think>."}'),
        "What is </think> for?",
        "It ends <think>.",
    )
    yield _good("reasoning_content", "deepseek", chat(TEXT, reasoning_content=thought), reasoning=thought)
    yield _good("reasoning", "openrouter", chat(TEXT, reasoning=thought), reasoning=thought)
    yield _good("reasoning null", "groq", chat(TEXT, reasoning=None, reasoning_content=""))
    content = [{"type": "thinking", "thinking": [_text(thought)]}, _text(TEXT)]
    yield _good("thinking part", "mistral", chat(content), reasoning=thought)
    yield _good("reasoning part", "openai", chat([{"type": "reasoning", "text": "Hm."}, _text(TEXT)]), reasoning="Hm.")
    signed = {"type": "thinking", "thinking": thought, "signature": "c2lnbmVk"}
    yield _good(
        "thinking block",
        "anthropic",
        blocks(signed, _text(TEXT)),
        reasoning=thought,
        reasoning_signature="c2lnbmVk",
    )
    redacted = {"type": "redacted_thinking", "data": "ZW5jcnlwdGVk"}
    yield _good("redacted thinking", "anthropic", blocks(redacted, _call(GOOD), stop="tool_use"))
    yield _good("NUL in a thought", "vllm", chat(TEXT, reasoning="a\x00b"), reasoning="ab")
    yield _good("braces in a thought", "vllm", chat("<think>" + "{" * 3000 + "</think>" + TEXT), reasoning="{" * 3000)


def _places() -> Iterator[AnswerRow]:
    half = len(TEXT) // 2
    yield _good("content as text", "openai", chat(TEXT, refusal=None, annotations=[]))
    yield _good("content as a part", "mistral", chat([_text(TEXT)]))
    yield _good("content as two parts", "gemini", chat([_text(TEXT[:half]), _text(TEXT[half:])]))
    yield _good(
        "parts of odd types", "vllm", chat([{"type": ["text"], "text": TEXT[:half]}, {"type": {}, "text": TEXT[half:]}])
    )
    yield _good("content as an object", "vllm", chat(GOOD))
    yield _good("parsed", "openai", chat(None, parsed=GOOD))
    yield _good("parsed null", "openai", chat(TEXT, parsed=None))
    yield _good("tool call with text", "openai", chat(None, "tool_calls", tool_calls=[_function(TEXT)]))
    yield _good("tool call with an object", "ollama", chat("", "tool_calls", tool_calls=[_function(GOOD)]))
    yield _good("tool call that stopped", "groq", chat(None, "stop", tool_calls=[_function(TEXT)]))
    two = [_function('{"a": 1}', "search"), _function(TEXT)]
    yield _good("second tool call", "mistral", chat("", "tool_calls", tool_calls=two))
    calls = {
        "draft, answer": (DRAFT_TEXT, TEXT),
        "nothing, answer": ("{}", TEXT),
        "answer, nothing": (TEXT, "{}"),
        "answer, another shape": (TEXT, '{"user_1": "a"}'),
        "cut, answer": (DRAFT_TEXT[:-4], TEXT),
        "objects": (DRAFT, GOOD),
    }
    for name, (first, last) in calls.items():
        both = [_function(first), _function(last), _function('{"a": 1}', "search")]
        yield _good(f"two tool calls: {name}", "vllm", chat(None, "tool_calls", tool_calls=both))
        yield _good(f"two inputs: {name}", "anthropic", blocks(_call(first), _call(last), stop="tool_use"))
    cut = [_function(DRAFT_TEXT), _function(TEXT[:-4])]
    yield _bad("two tool calls: draft, cut", "vllm", chat(DRAFT_TEXT, "stop", tool_calls=cut), "unreadable_answer")
    cut_inputs = blocks(_text(DRAFT_TEXT), _call(DRAFT), _call(TEXT[:-4]), stop="end_turn")
    yield _bad("two inputs: draft, cut", "anthropic", cut_inputs, "unreadable_answer")
    function = {"name": "conversation", "arguments": TEXT}
    yield _good("function call", "openai", chat(None, "function_call", function_call=function))
    yield _bad("tool calls without any", "openai", chat(TEXT, "tool_calls"), "incomplete_answer")
    yield _bad(
        "tool call that is cut",
        "vllm",
        chat(None, "tool_calls", tool_calls=[_function(TEXT[:-4])]),
        "unreadable_answer",
    )
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    completion = {"choices": [{"text": TEXT, "index": 0, "finish_reason": "stop"}], "usage": usage}
    yield _good("completion", "llama.cpp", completion)
    yield _good("tool's input", "anthropic", blocks(_call(GOOD), stop="tool_use"))
    yield _good("tool's input as text", "anthropic", blocks(_call(TEXT), stop="tool_use"))
    yield _good("words before the tool", "anthropic", blocks(_text("I write it."), _call(GOOD), stop="tool_use"))
    yield _good("parameter", "anthropic", blocks(_call({"parameter": GOOD}), stop="tool_use"))
    yield _good("conversation as text", "anthropic", blocks(_call({"conversation": TEXT}), stop="tool_use"))
    yield _good("two text blocks", "anthropic", blocks(_text(TEXT[:half]), _text(TEXT[half:])))
    yield _bad("empty input", "anthropic", blocks(_call({}), stop="tool_use"), "incomplete_answer")
    yield _bad("no blocks", "anthropic", blocks(), "empty_answer")
    yield _bad("empty content", "openai", chat(""), "empty_answer")
    yield _bad("empty list", "mistral", chat([]), "empty_answer")
    yield _bad("no choices", "openrouter", {"choices": []}, "unreadable_answer")


def _shapes() -> Iterator[AnswerRow]:
    shapes = {
        "schema's name": {"conversation": GOOD},
        "json_tool_call": {"json_tool_call": GOOD},
        "any name": {"sea_talk": GOOD},
        "two wrappers": {"result": {"conversation": GOOD}},
        "schema repeated": {"type": "object", "properties": GOOD, "required": ["user_1"]},
        "list of one": [GOOD],
        "call in words": {"name": "conversation", "arguments": GOOD},
        "other case": {"User_1": USER, "ASSISTANT_1": ASSISTANT},
        "no underscore": {"user1": USER, "assistant1": ASSISTANT},
        "space": {"user 1": USER, "assistant 1": ASSISTANT},
        "dash": {"user-1": USER, "assistant-1": ASSISTANT},
        "turns as objects": {"user_1": {"text": USER}, "assistant_1": {"content": ASSISTANT}},
        "turns with roles": {
            "user_1": {"role": "user", "content": USER},
            "assistant_1": {"role": "assistant", "content": ASSISTANT},
        },
        "turns as lists": {"user_1": [USER], "assistant_1": [ASSISTANT]},
        "one key each": [{"user": USER}, {"assistant": ASSISTANT}],
        "one numbered key each": [{"user_1": USER}, {"assistant_1": ASSISTANT}],
        "roles as keys": {"user": USER, "assistant": ASSISTANT},
        "role and content": [{"role": "user", "content": USER}, {"role": "assistant", "content": ASSISTANT}],
        "from and value": [{"from": "human", "value": USER}, {"from": "gpt", "value": ASSISTANT}],
        "speaker and text": [{"speaker": "User", "text": USER}, {"speaker": "Assistant", "text": ASSISTANT}],
        "messages": {"title": "Sea", "messages": [{"role": "user", "content": USER}, {"assistant": ASSISTANT}]},
        "title": {"title": "The sea", **GOOD, "note": None},
        "names and versions": {**GOOD, "user": "Ann", "assistant": "Bo", "gpt-4.1": "x", "user_note": "none"},
        "encoded twice": TEXT,
    }
    for number, (name, value) in enumerate(shapes.items()):
        provider = ("ollama", "groq", "deepseek", "gemini")[number % 4]
        yield _good(f"shape: {name}", provider, chat(json.dumps(value)))
    line_by_line = f"{json.dumps({'user_1': USER})}\n{json.dumps({'assistant_1': ASSISTANT})}"
    yield _good("one object a line", "llama.cpp", chat(line_by_line))
    yield _good("short and honest", "openai", chat('{"user_1": "Yes?", "assistant_1": "Yes."}'), "Yes?", "Yes.")
    roles = [{"Role": "User", "Content": USER}, {"ROLE": "Assistant", "CONTENT": ASSISTANT}]
    yield _good("roles and contents in capitals", "ollama", chat(json.dumps(roles)))
    yield _good("all in capitals", "vllm", chat(json.dumps({"Title": "Sea", "Conversation": roles})))
    yield _good("capitals a line", "ollama", chat("\n".join(map(json.dumps, roles))))
    yield _good(
        "quotes and keys in a text", "openai", chat(json.dumps({**GOOD, "user_1": '"user_1"'})), '"user_1"', ASSISTANT
    )
    repeated = {
        "turn": f'{{"user_1": "Early", {TEXT[1:]}',
        "turn in a wrapper": f'{{"conversation": {{"user_1": "Early", {TEXT[1:]}}}',
        "turn in a text": json.dumps({"conversation": f'{{"user_1": "Early", {TEXT[1:]}'}),
        "roles": '{"user": "a", "assistant": "b", "user": "c", "assistant": "d"}',
        "wrapper": f'{{"conversation": {DRAFT_TEXT}, "conversation": {TEXT}}}',
        "part of a turn": '{"user_1": {"text": "a", "text": "b"}, "assistant_1": "c"}',
        "content": '[{"role": "user", "content": "a", "content": "b"}, {"role": "assistant", "content": "c"}]',
    }
    for name, text in repeated.items():
        yield _bad(f"twice: {name}", "ollama", chat(text))
        yield _bad(f"twice, around it words: {name}", "llama.cpp", chat(f"Here:\n{text}\nGood?"))
    yield _bad("twice: tool call", "vllm", chat(None, tool_calls=[_function(repeated["turn"])]))
    one_more = {"role": "user", "content": "And here?"}
    listed = json.dumps([{"role": "user", "content": USER}, {"role": "assistant", "content": ASSISTANT}])
    yield _bad("one more turn after a list", "ollama", chat(f"{listed}\n{json.dumps(one_more)}"))
    yield _bad("one more turn, after a draft", "ollama", chat(f"{DRAFT_TEXT}\n{listed}\n{json.dumps(one_more)}"))
    yield _bad("more turns after an object", "vllm", chat(f'{TEXT}\n{{"user_2": "a", "assistant_2": "b"}}'))
    yield _good("facts after an object", "vllm", chat(f'{TEXT}\n{{"topic": "the sea", "turns": 2}}'))
    wrong = {
        "number": {**GOOD, "assistant_1": 4},
        "null": {**GOOD, "assistant_1": None},
        "two texts": {**GOOD, "assistant_1": ["a", "b"]},
        "schema itself": {"properties": {"user_1": {"type": "string"}, "assistant_1": {"type": "string"}}},
        "missing": {"user_1": USER},
        "empty turn": {**GOOD, "assistant_1": " \n"},
        "too many": {**GOOD, "user_2": "More?"},
        "rest of a turn under another key": {**GOOD, "assistant_1_continued": "More."},
        "rest of a turn by its number": {**GOOD, "turn_3": "More."},
        "two texts in a turn": [{"role": "user", "content": "a", "text": "b"}, {"assistant": "c"}],
        "assistant first": [{"assistant": ASSISTANT}, {"user": USER}],
        "system": [{"role": "system", "content": "x"}, {"role": "assistant", "content": "y"}],
        "draft and final": {"draft": DRAFT, "final": GOOD},
        "same key twice": {"User_1": "a", "user_1": "b", "assistant_1": "c"},
        "NUL": {**GOOD, "assistant_1": "a\x00b"},
        "lone surrogate": {**GOOD, "assistant_1": "a\ud800b"},
        "dots": {"user_1": "...", "assistant_1": "…"},
        "half a placeholder": {**GOOD, "assistant_1": "<the assistant's reply>"},
        "brackets": {"user_1": "[user message]", "assistant_1": "[assistant message]"},
        "instruction": {"user_1": "the text of that turn", "assistant_1": "the text of that turn"},
        "one word": {"user_1": "text", "assistant_1": "text"},
        "keys as texts": {"user_1": "user_1", "assistant_1": "assistant_1"},
        "example of the prompt": EXAMPLE,
        "deep wrappers": {"a": {"a": {"a": {"a": {"a": {"a": GOOD}}}}}},
    }
    for number, (name, value) in enumerate(wrong.items()):
        yield _bad(f"wrong: {name}", ("ollama", "vllm", "openrouter")[number % 3], chat(json.dumps(value)))
    yield _bad("wrong input", "anthropic", blocks(_call({"user_1": USER}), stop="tool_use"))
    yield _bad("roles in words", "ollama", chat(f"User: {USER}\nAssistant: {ASSISTANT}"), "unreadable_answer")
    yield _bad("prose", "anthropic", blocks(_text("I would rather not.")), "unreadable_answer")


def _texts() -> Iterator[AnswerRow]:
    around = {
        "fence": f"Here:\n```json\n{TEXT}\n```\nMore?",
        "open fence": f"```json\n{TEXT}",
        "byte-order mark": f"\ufeff{TEXT}",
        "brackets after": f"{TEXT}\nI hope {{this}} helps [really]! [1]",
        "braces before": f"I use {{braces}} and [brackets]. {TEXT}",
        "example, then answer": f'Form: {{"user_1": "...", "assistant_1": "..."}}\n{TEXT}',
        "answer, then example": f'{TEXT}\nThe form was {{"user_1": "<text>", "assistant_1": "<text>"}}.',
        "echo, then answer": f"{json.dumps(EXAMPLE)}\n{TEXT}",
        "answer, then echo": f"{TEXT}\n{json.dumps(EXAMPLE)}",
        "draft, then answer": f"Draft:\n{DRAFT_TEXT}\nBetter:\n{TEXT}",
        "twice": TEXT + TEXT,
        "unquoted example": f'{{"user_1": ..., "assistant_1": ...}}\n\n{TEXT}',
    }
    for number, (name, text) in enumerate(around.items()):
        yield _good(f"around: {name}", ("ollama", "mistral", "gemini")[number % 3], chat(text))
    yield _good("anthropic's prose", "anthropic", blocks(_text(f"Of course.\n\n{TEXT}\n\nAnything else?")))
    yield _good("braces in prose", "llama.cpp", chat("{ } " * 200 + TEXT))
    yield _good("line breaks", "ollama", chat('{"user_1": "A\n\tB", "assistant_1": "C"}'), "A\n\tB", "C")
    broken = {
        "comma at the end": f"{TEXT[:-1]},}}",
        "single quotes": str(GOOD),
        "no comma": TEXT.replace('", "', '" "'),
        "fence and comma": f"Sure:\n```json\n{TEXT[:-1]},\n}}\n```",
        "comma in a wrapper": f'{{"conversation": {TEXT},}}',
    }
    for name, text in broken.items():
        yield _good(f"broken: {name}", "llama.cpp", chat(text), repaired=True)
    yield _good("escaped quote", "ollama", chat(r'{"user_1": "It\'s", "assistant_1": "B"}'), "It's", "B", repaired=True)
    escaped = r'{"user_1": "\ud83c\udf0a?", "assistant_1": "\u00c5",}'
    yield _good("escapes in broken JSON", "ollama", chat(escaped), "🌊?", "Å", repaired=True)
    bare = '{"user_1": "Say "go", please", "assistant_1": "Go"}'
    yield _good("bare quotes", "ollama", chat(bare), 'Say "go", please', "Go", repaired=True)
    yield _good("broken input", "anthropic", blocks(_call(f"{TEXT[:-1]},}}"), stop="tool_use"), repaired=True)
    cuts = {
        "in a text": '{"user_1": "Hi", "assistant_1": "I was just about to',
        "in a text, after a brace": '{"user_1": "Hi {x}", "assistant_1": "I was about {to} and',
        "after a bare quote": '{"user_1": "Hi", "assistant_1": "I said "no"',
        "before the last brace": TEXT[:-1],
        "before the last bracket": json.dumps([{"user": USER}, {"assistant": ASSISTANT}])[:-1],
        "in a fence": f"```json\n{TEXT[:-10]}\n```",
        "in single quotes": str(GOOD)[:-9],
        "after a draft": f'{{"draft": {DRAFT_TEXT}, "final": {{"user_1": "Hi", "assistant_1": "I was',
        "nested too deeply": '{"a":' * 100_000,
        "brackets without end": "[" * 100_000,
        "200 braces": "{" * 200,
    }
    for number, (name, text) in enumerate(cuts.items()):
        yield _bad(f"cut {name}", ("ollama", "vllm")[number % 2], chat(text), "unreadable_answer")
    yield _bad("cut after a bracket of the text", "ollama", chat('{"user_1": "Hi", "assistant_1": "Send {"a": "b"}'))
    bare = '{"user_1": "a", "assistant_1": Use {} for an empty dict} and then close it."}'
    yield _bad("bracket in a text without quotes", "ollama", chat(bare))
    finals = {
        "object": TEXT[:-20],
        "brace": "{",
        "fence": '```json\n{"us\n```',
        "first key": '{"user_1": "How',
        "single quotes": str(GOOD)[:-20],
        "list": json.dumps([{"role": "user", "content": USER}, {"role": "assistant", "content": ASSISTANT}])[:-3],
        "wrapper": json.dumps({"conversation": GOOD})[:-1],
        "title": json.dumps({"title": "The sea", **GOOD})[:-1],
    }
    for name, final in finals.items():
        for end in ("stop", None):
            text = f"{DRAFT_TEXT}\n\nLet me improve that:\n{final}"
            yield _bad(f"draft, cut {name}, {end}", "ollama", chat(text, end), "incomplete_answer")
    broken_draft = f"{DRAFT_TEXT[:-1]},}}\n\nBetter:\n{TEXT[:-4]}"
    yield _bad("broken draft, cut answer", "vllm", chat(broken_draft), "unreadable_answer")
    yield _good("answer, open bracket in prose", "ollama", chat(f"{TEXT}\nI kept to {{the form (see [1)."))
    yield _good(
        "answer, closed example", "ollama", chat(f"{TEXT}\nThe form was {{'user_1': ..., 'assistant_1': ...}}.")
    )
    surplus = f'{TEXT[:-1]}, "note": "x",}}'
    yield _bad("surplus key in broken JSON", "ollama", chat(surplus), "unreadable_answer")


def _ends() -> Iterator[AnswerRow]:
    for word in ("STOP", "eos", "eos_token", "end_turn", "complete", "FINISH_REASON_STOP"):
        yield _good(f"end: {word}", "gemini" if word.isupper() else "vllm", chat(TEXT, word))
    yield _good("end: stop_sequence", "anthropic", blocks(_text(TEXT), stop="stop_sequence"))
    for none in (None, ""):
        yield _good(f"end: {none!r}", "llama.cpp", chat(TEXT, none), end="not given")
    yield _good("end: none for Anthropic", "anthropic", blocks(_call(GOOD), stop=None), end="not given")
    yield _bad("end: none after broken JSON", "ollama", chat(f"{TEXT[:-1]},}}", None), "incomplete_answer")
    yield _bad("end: none after a cut", "ollama", chat(TEXT[:-1], None), "incomplete_answer")
    for word in ("length", "MAX_TOKENS", "model_length", "max_tokens"):
        yield _bad(f"end: {word}", "mistral", chat(TEXT, word), "length", may_retry=False)
    window = "model_context_window_exceeded"
    yield _bad("end: window", "anthropic", blocks(_text(TEXT), stop=window), "length", may_retry=False)
    for word in ("SAFETY", "RECITATION", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "content_filter", "sensitive"):
        yield _bad(f"end: {word}", "gemini", chat("", word), "content_filter", may_retry=False)
    yield _bad("end: refusal", "anthropic", blocks(_text(TEXT), stop="refusal"), "refusal", may_retry=False)
    yield _bad("refusal", "openai", chat(None, refusal="I cannot."), "refusal", may_retry=False)
    refused = {"type": "refusal", "refusal": "I cannot."}
    yield _bad("refusal as a part", "openai", chat([refused]), "refusal", may_retry=False)
    yield _bad("end: pause_turn", "anthropic", blocks(_text(TEXT), stop="pause_turn"), "incomplete_answer")
    for unknown in ("insufficient_system_resource", "abort", "error", "OTHER", 7):
        yield _bad(f"end: {unknown}", "deepseek", chat(TEXT, unknown), "incomplete_answer")


def _bodies() -> Iterator[AnswerRow]:
    good = chat(TEXT)
    blank = {"message": "", "code": None}
    errors: dict[str, Any] = {"null": None, "{}": {}, '""': "", "[]": [], "blank": blank}
    for name, error in errors.items():
        yield _good(f"error {name}", "openrouter", {**good, "error": error})
    yield _good("error null of Anthropic", "anthropic", {**blocks(_text(TEXT)), "error": None})
    data = json.dumps(good).encode()
    yield _good("byte-order mark before the body", "vllm", b"\xef\xbb\xbf" + data)
    yield _good("blank lines before the body", "openrouter", b"\n \n\r\n" + data)
    yield _good(
        "NaN beside the answer", "vllm", json.dumps({**good, "logprobs": [float("nan"), float("-inf")]}).encode()
    )
    yield _good("text after the body", "llama.cpp", data + b"\n\nOK")
    yield _good("NUL after the body", "vllm", data + b"\0")
    yield _good("raw tab in an id", "ollama", b'{"id": "a\tb", ' + data[1:])
    halved = chat(TEXT, reasoning_content="Half \ud83d of it.")
    yield _good("half a character in a thought", "vllm", halved, reasoning="Half ? of it.")
    half = chat(TEXT.replace("deep", "dee\ud83d"))
    yield _bad("half a character in a turn", "vllm", half)
    yield AnswerRow("201", "vllm", good, status=201)
    for usage in (None, {}, "n/a", {"prompt_tokens": "12", "completion_tokens": 3.0}, {"prompt_tokens": None}):
        yield _good(f"usage {json.dumps(usage)}", "llama.cpp", {**good, "usage": usage})


ROWS = tuple(row for rows in (_thinking, _places, _shapes, _texts, _ends, _bodies) for row in rows())
