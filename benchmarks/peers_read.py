"""Do the programs that train read what is exported? datasets, pandas, pyarrow, TRL's templates, mistral-common.

Conversations are written in every format, and read in a venv by `peers/reading_exports.py`, which compares what each
program reads with what was written. It also gives the trainers what `library.trainer_checks` says that they refuse.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from backstay import Conversation, ToolCall, Turn
from backstay.library.formats import FormatOptions, format_names, load_format
from backstay.library.openai_messages import to_messages
from measurement import print_table
from venvs import NotInstalled, python_of

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.data.refused_conversations import REFUSED

_READER = Path(__file__).parent / "peers" / "reading_exports.py"
_WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Report the weather.",
        "parameters": {
            "type": "object",
            "properties": {"place": {"type": "string", "description": "A city."}},
            "required": ["place"],
        },
    },
}
_SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Search a text.",
        "parameters": {
            "type": "object",
            "properties": {
                "words": {"type": "string", "description": "Words."},
                "limit": {"type": "integer", "description": "How many."},
            },
        },
    },
}
_PICTURE = {"type": "image_url", "image_url": {"url": "https://pictures.invalid/a.png"}}


def main() -> int:
    """Write, read, print a table; return 1 if a program did not read what was written."""
    try:
        python = python_of("readers")
    except NotInstalled as reason:
        print(f"The programs are not installed: {reason}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="backstay-peers-read-") as name:
        folder = Path(name)
        for format_name in format_names():
            _write_format(folder, format_name)
        refused = [{"kind": each.kind, "messages": _messages(each.turns)} for each in REFUSED]
        (folder / "refused.json").write_text(json.dumps(refused))
        process = subprocess.run([python, _READER, folder], stdout=subprocess.PIPE, text=True, check=True)
    report = json.loads(process.stdout.splitlines()[-1])
    print_table(["what is read", "by", "result"], report["rows"])
    print("Read by " + ", ".join(f"{name} {version}" for name, version in report["versions"].items()) + ".")
    return 1 if report["failed"] else 0


def _write_format(folder: Path, format_name: str) -> None:
    if format_name == "trl-preference":
        _write(folder, "pairs", format_name, _pairs())
        return
    _write(folder, "plain", format_name, _plain())
    if format_name in {"messages", "parquet", "prompt-completion", "sharegpt", "anthropic", "native"}:
        _write(folder, "tools", format_name, _with_tools())
        _write(folder, "parts", format_name, _with_parts())


def _write(folder: Path, name: str, format_name: str, conversations: Sequence[Conversation]) -> None:
    form = load_format(format_name)(FormatOptions(turn_fields=name != "plain"))
    written = (form.prepare(each).conversation for each in conversations)
    chunks = [form.head(), *(form.chunk(each) for each in written if each is not None), form.tail()]
    (folder / f"{name}.{format_name}.{form.suffix}").write_bytes(b"".join(chunks))


def _messages(turns: Sequence[Turn]) -> object:
    return to_messages(Conversation(turns), FormatOptions())


def _plain() -> list[Conversation]:
    """Return conversations of texts, with characters and line ends that readers stumble over."""
    awkward = ("naïve – 😀", "a\u2028b\u0085c", 'say "x",;\t', "line\nline", "0012", "null")
    return [
        Conversation(
            [
                *([Turn("system", "Be brief.")] if number % 2 else []),
                *[Turn(role, f"{text} {number}") for text in awkward for role in ("user", "assistant")],
            ],
            id=f"plain-{number}",
            topic="tea",
            metadata={"number": number},
        )
        for number in range(20)
    ]


def _with_tools() -> list[Conversation]:
    """Return conversations with tools of different parameters, one with two calls at once, and one without."""
    return [
        Conversation(
            [
                Turn("user", "Will it rain in Oslo?"),
                Turn(
                    "assistant",
                    "",
                    reasoning="I have to look.",
                    tool_calls=[ToolCall("call00001", "weather", '{"place": "Oslo"}')],
                ),
                Turn("tool", "rain at noon", tool_call_id="call00001", name="weather"),
                Turn("assistant", "At noon.", metadata={"weight": 1}),
            ],
            id="tools-1",
            tools=[_WEATHER],
        ),
        Conversation(
            [
                Turn("system", "Be brief."),
                Turn("user", "Find two, and the weather in Rome."),
                Turn(
                    "assistant",
                    "I look.",
                    tool_calls=[
                        ToolCall("call00002", "search", '{"words": "two", "limit": 3}'),
                        ToolCall("call00003", "weather", '{"place": "Rome"}'),
                    ],
                ),
                Turn("tool", "[1, 2]", tool_call_id="call00002"),
                Turn("tool", "sunny", tool_call_id="call00003"),
                Turn("assistant", "1 and 2. Sunny.", reasoning="Both are there."),
            ],
            id="tools-2",
            tools=[_WEATHER, _SEARCH],
        ),
        _plain()[0],
    ]


def _with_parts() -> list[Conversation]:
    parts = [{"type": "text", "text": "What is it?"}, _PICTURE]
    return [Conversation([Turn("user", "What is it?", parts=parts), Turn("assistant", "A cat.")]), _plain()[0]]


def _pairs() -> list[Conversation]:
    return [
        Conversation(
            [Turn("user", f"{number}?"), Turn("assistant", f"{choice} {number}")],
            id=f"{choice}-{number}",
            metadata={"preference": choice, "preference_pair": f"pair-{number}"},
        )
        for number in range(4)
        for choice in ("chosen", "rejected")
    ]


if __name__ == "__main__":
    sys.exit(main())
