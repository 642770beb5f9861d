"""Read exports as trainers do, and compare what is read with what was written. Runs in the venv `readers`.

The last line of standard output is a JSON report: one row for each check, and the versions.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HOME": tempfile.mkdtemp(prefix="backstay-peers-read-home-"),
}

import datasets
import pandas
import pyarrow.parquet
import trl
from mistral_common.protocol.instruct import messages as mistral
from mistral_common.protocol.instruct import validator as mistral_validator
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from trl import data_utils
from trl.chat_template_utils import supports_tool_calling

datasets.disable_progress_bars()

Rows = Sequence[Mapping[str, Any]]
_LOADERS = {".jsonl": "json", ".parquet": "parquet", ".csv": "csv"}
_MISTRAL_CLASSES = {
    "system": mistral.SystemMessage,
    "user": mistral.UserMessage,
    "assistant": mistral.FinetuningAssistantMessage,
    "tool": mistral.ToolMessage,
}
_TRL_KEYS = ("messages", "prompt", "completion", "chosen", "rejected")
_PARTIAL_TEMPLATES = {"llava_next", "idefics3", "smolvlm"}  # they read lists of parts only
_WITHOUT_PARSED_ARGUMENTS = {"deepseekv3"}  # it wants them as text, and a content that is not null
_PEERS = ("datasets", "pandas", "pyarrow", "trl", "transformers", "mistral_common")


class Wrong(Exception):
    """What was read is not what was written."""


def main() -> None:
    folder = Path(sys.argv[1])
    rows, failed = [], 0
    for what, by, check in _checks(folder):
        try:
            result = check()
        except Exception as error:
            failed += 1
            reason = " ".join(str(error.__cause__ or error).split())
            result = f"**failed**: {type(error).__name__} {reason[:300]}"
        rows.append([what, by, result])
    versions = {name: version(name) for name in _PEERS}
    print(json.dumps({"rows": rows, "failed": failed, "versions": versions}))


def _checks(folder: Path) -> Iterator[tuple[str, str, Callable[[], str]]]:
    """Yield what is read, by which program, and the function that reads it."""
    for path in sorted(each for each in folder.iterdir() if each.suffix in _LOADERS):
        yield path.name, "datasets", lambda path=path: _by_datasets(path)
        yield path.name, "pandas", lambda path=path: _by_pandas(path)
    for path in sorted(folder.glob("*.parquet")):
        yield path.name, "pyarrow", lambda path=path: _by_pyarrow(path)
    for name in ("plain.messages.jsonl", "plain.parquet.parquet", "plain.prompt-completion.jsonl"):
        yield name, "TRL", lambda name=name: _by_templates(folder / name)
    yield "pairs.trl-preference.jsonl", "TRL", lambda: _by_preference(folder / "pairs.trl-preference.jsonl")
    yield "plain.sharegpt.jsonl", "TRL", lambda: _by_chatml(folder)
    for name in ("tools.messages.jsonl", "tools.parquet.parquet"):
        yield f"{name}, arguments parsed", "TRL", lambda name=name: _by_tool_templates(folder / name)
    for name in ("plain.messages.jsonl", "tools.messages.jsonl"):
        yield name, "mistral-common", lambda name=name: _by_mistral(folder / name)
    cases: dict[str, list[Any]] = {}
    for case in json.loads((folder / "refused.json").read_text()):
        cases.setdefault(case["kind"], []).append(case["messages"])
    for kind, conversations in cases.items():
        yield f"`{kind}`", "TRL, mistral-common", lambda each=conversations: _refused_by(each)


# -- Files


@cache
def _load(path: Path) -> datasets.Dataset:
    return datasets.load_dataset(_LOADERS[path.suffix], data_files=str(path), split="train")


def _written(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]


def _texts(folder: Path, name: str) -> list[list[str]]:
    """Return the texts of each conversation."""
    rows = _written(folder / f"{name}.native.jsonl")
    return [[turn["content"] for turn in row["conversation_turns"]] for row in rows]


def _without_nulls(value: Any) -> Any:
    """Return a value without keys that are null: tables have them in every row."""
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return list(map(_without_nulls, value)) if isinstance(value, list) else value


def _compare(read: Any, written: Any) -> None:
    read, written = _without_nulls(read), _without_nulls(written)
    if read != written:
        pairs = zip(read, written, strict=False)
        first = next((number for number, (one, other) in enumerate(pairs) if one != other), None)
        raise Wrong(f"{len(read)} rows were read, {len(written)} written; the first other one is {first}")


def _check_table(path: Path, rows: list[dict[str, Any]]) -> str:
    """Compare the rows of a table with what was written."""
    name = path.name.partition(".")[0]
    match path.suffix:
        case ".jsonl":
            _compare(rows, _written(path))
        case ".csv":
            # A cell has control characters as escapes.
            written = [text.replace("\x85", "\\x85") for text in chain.from_iterable(_texts(path.parent, name))]
            _compare([row["content"] for row in rows], written)
        case ".parquet":
            _compare([[turn["content"] or "" for turn in row["messages"]] for row in rows], _texts(path.parent, name))
            calls = [[turn.get("tool_calls") or [] for turn in row["messages"]] for row in rows]
            messages = _written(path.parent / f"{name}.messages.jsonl")
            _compare(calls, [[turn.get("tool_calls", []) for turn in row["messages"]] for row in messages])
            tools = [json.loads(row.get("tools") or "null") for row in rows]
            _compare(tools, [row.get("tools") for row in messages])
    return f"{len(rows)} rows"


def _by_datasets(path: Path) -> str:
    return _check_table(path, _load(path).to_list())


def _by_pandas(path: Path) -> str:
    readers = {
        ".jsonl": lambda: pandas.read_json(path, lines=True, dtype=False),
        ".csv": lambda: pandas.read_csv(path, keep_default_na=False),
        ".parquet": lambda: pandas.read_parquet(path),
    }
    frame = readers[path.suffix]()
    # Arrays become lists, and values that are missing become null.
    return _check_table(path, json.loads(frame.to_json(orient="records", force_ascii=False, date_format="iso")))


def _by_pyarrow(path: Path) -> str:
    return _check_table(path, pyarrow.parquet.read_table(path).to_pylist())


# -- TRL


@cache
def _templates() -> Mapping[str, str]:
    """Return the chat templates that TRL brings along, each as its model has it."""
    folder = Path(trl.__file__).parent / "chat_templates"
    return {path.stem: path.read_text() for path in sorted(folder.glob("*.jinja")) if "_training" not in path.stem}


def _tokenizer(template: str) -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    tokenizer.chat_template = template
    return tokenizer


def _apply(row: Mapping[str, Any], template: str, tools: Any = None) -> Mapping[str, str]:
    example = {name: row[name] for name in _TRL_KEYS if name in row}
    if not data_utils.is_conversational(example):
        raise Wrong("TRL does not see a conversation")
    return data_utils.maybe_apply_chat_template(example, _tokenizer(template), tools=tools)


def _by_templates(path: Path) -> str:
    """Apply every template; the texts of the conversation have to be in the result."""
    accepting, rows = 0, _load(path)
    for name, template in _templates().items():
        if name in _PARTIAL_TEMPLATES:
            continue
        for row in rows:
            turns = row.get("messages") or [*row["prompt"], *row["completion"]]
            if name == "gemma" and turns[0]["role"] == "system":
                continue  # this model has none
            result = "".join(_apply(row, template).values())
            if lost := [turn["content"] for turn in turns if turn["content"].strip() not in result]:
                raise Wrong(f"{name} leaves out {len(lost)} texts")
        accepting += 1
    return f"{accepting} templates"


def _by_preference(path: Path) -> str:
    """Take the prompt out of pairs, unpair them, and apply every template."""
    rows = _load(path)
    for row in rows:
        implicit = {name: [*row["prompt"], *row[name]] for name in ("chosen", "rejected")}
        _compare([data_utils.maybe_extract_prompt(implicit)], [row])
    unpaired = data_utils.maybe_unpair_preference_dataset(rows)
    if len(unpaired) != 2 * len(rows):
        raise Wrong(f"{len(unpaired)} after unpairing")
    names = [name for name in _templates() if name not in _PARTIAL_TEMPLATES]
    for name in names:
        for row in rows:
            result = _apply(row, _templates()[name])
            if row["chosen"][0]["content"] not in result["chosen"]:
                raise Wrong(f"{name} leaves out the answer")
    return f"{len(rows)} pairs, {len(names)} templates"


def _by_chatml(folder: Path) -> str:
    """Convert ShareGPT to messages. TRL leaves the names of roles, and the system message next to the messages."""
    rows = [data_utils.maybe_convert_to_chatml(row) for row in _load(folder / "plain.sharegpt.jsonl")]
    texts = [
        [*([row["system"]] if row["system"] else []), *[each["content"] for each in row["messages"]]] for row in rows
    ]
    _compare(texts, _texts(folder, "plain"))
    return f"{len(rows)} rows"


def _by_tool_templates(path: Path) -> str:
    """Apply every template that TRL counts among those with tools, with arguments parsed, as TRL wants them."""
    accepting = 0
    for name, template in _templates().items():
        if name in _WITHOUT_PARSED_ARGUMENTS or not supports_tool_calling(_tokenizer(template)):
            continue
        for row in _load(path):
            messages = [_parse_arguments(message) for message in row["messages"]]
            if name in {"llama3_1", "llama3_2"} and any(len(each.get("tool_calls") or ()) > 1 for each in messages):
                continue  # these models call one tool at a time
            tools = json.loads(row["tools"]) if isinstance(row["tools"], str) else row["tools"]
            result = _apply({"messages": messages}, template, tools)["text"]
            values = [value for call in _calls(messages) for value in call["function"]["arguments"].values()]
            results = [message["content"] for message in messages if message["role"] == "tool"]
            if lost := [value for value in (*values, *results) if str(value) not in result]:
                raise Wrong(f"{name} leaves out {len(lost)} arguments or results")
        accepting += 1
    return f"{accepting} templates"


def _calls(messages: Rows) -> list[Mapping[str, Any]]:
    return [call for message in messages for call in message.get("tool_calls") or ()]


def _parse_arguments(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message whose arguments are no longer JSON text, if they were; Axolotl does this too."""
    message = json.loads(json.dumps(message))
    for call in message.get("tool_calls") or ():
        try:
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
        except json.JSONDecodeError:
            continue
    return message


# -- What trainers refuse


def _by_mistral(path: Path) -> str:
    rows = _written(path)
    for row in rows:
        for name, validator in _mistral_validators().items():
            if reason := _mistral_refusal(row["messages"], validator):
                # Older models take no text next to a call.
                if name in {"MistralRequestValidator", "MistralRequestValidatorV3"} and "not both" in reason:
                    continue
                raise Wrong(f"{name}: {reason}")
    return f"{len(rows)} rows, {len(_mistral_validators())} validators"


@cache
def _mistral_validators() -> Mapping[str, Any]:
    mode = mistral_validator.ValidationMode.finetuning
    names = [name for name in dir(mistral_validator) if name.startswith("MistralRequestValidator")]
    return {name: getattr(mistral_validator, name)(mode) for name in names}


def _mistral_refusal(messages: Rows, validator: Any) -> str | None:
    try:
        known = [{name: value for name, value in each.items() if name != "reasoning_content"} for each in messages]
        validator.validate_messages([_MISTRAL_CLASSES[each["role"]].model_validate(each) for each in known])
    except Exception as error:
        return f"{type(error).__name__} {error}"
    return None


def _template_refusal(messages: Rows, template: str) -> str | None:
    try:
        _apply({"messages": [_parse_arguments(message) for message in messages]}, template)
    except Exception as error:
        return str(error)
    return None


def _refused_by(conversations: Sequence[Rows]) -> str:
    """Return who refuses all of these conversations, among those that accept the same without the fault."""
    text = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    call = {"id": "call00001", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    tools = [
        text[0],
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "rain", "tool_call_id": "call00001"},
        text[1],
    ]
    refusals: dict[str, Callable[[Rows], str | None]] = {
        **{name: lambda rows, each=each: _template_refusal(rows, each) for name, each in _templates().items()},
        **{name: lambda rows, each=each: _mistral_refusal(rows, each) for name, each in _mistral_validators().items()},
    }
    names: set[str] = set()
    for messages in conversations:
        control = tools if _calls(messages) else text
        found = {name for name, refusal in refusals.items() if not refusal(control) and refusal(messages)}
        if not found:
            raise Wrong("one of them is refused by none")
        names |= found
    return f"refused by {len(names)}: {', '.join(sorted(names)[:4])}{' …' if len(names) > 4 else ''}"


if __name__ == "__main__":
    main()
