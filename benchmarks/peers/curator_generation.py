"""Bespoke Curator, asking a model; runs in a venv that has it.

`generate`: one call of an `LLM` over the items, online, with the backend `openai` and the server's base URL, and limits
on requests and tokens a minute so high that they limit nothing (it has no way to set none, and its defaults would
bind). Items without an answer do not end the call with an error. Its viewer, its telemetry and its live display are
off. It counts tokens with a vocabulary that is fetched from the internet; here it is read from the copy that its
dependency litellm brings.

The time is that of the call. Making the `LLM`, which asks the server once for its limits, is left out. Each answer is
appended to a JSONL file as it comes, which is closed and not flushed to disk; a run that is started again reads it and
asks only for the rest. So answers survive the end of the process one by one, and not that of the machine. What is
counted is the lines of that file, and the rows of the dataset that the call returns.
"""

import importlib.metadata
import importlib.util
import logging
import os
import sys
from pathlib import Path
from typing import Any

_LITELLM = importlib.util.find_spec("litellm")
assert _LITELLM is not None
assert _LITELLM.origin is not None

os.environ |= {
    "TIKTOKEN_CACHE_DIR": str(Path(_LITELLM.origin).parent / "litellm_core_utils" / "tokenizers"),
    "CURATOR_VIEWER": "0",
    "CURATOR_DISABLE_RICH_DISPLAY": "1",
    "TELEMETRY_ENABLED": "false",
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}

from bespokelabs import curator  # noqa: E402 - reads the environment when it is imported

import assignment  # noqa: E402 - sorted behind it

_NO_LIMIT = 1_000_000_000  # a minute


class _Writer(curator.LLM):  # type: ignore[misc]  # its types are not here
    def prompt(self, row: dict[str, Any]) -> str:
        return assignment.prompt(row)

    def parse(self, row: dict[str, Any], response: str) -> dict[str, Any]:
        return {"id": row["id"], "conversation": response}


def _generate(folder: Path, items: list[dict[str, Any]], base_url: str, in_flight: int) -> tuple[assignment.Spent, int]:
    writer = _Writer(
        model_name=assignment.MODEL,
        backend="openai",
        backend_params={
            "base_url": base_url,
            "api_key": "none",
            "max_concurrent_requests": in_flight,
            "max_requests_per_minute": _NO_LIMIT,
            "max_tokens_per_minute": _NO_LIMIT,
            "require_all_responses": False,
        },
    )
    clock = assignment.Clock()
    try:
        answered = len(writer(items, working_dir=str(folder)).dataset)
    except Exception as error:  # no class of its own says that no item has an answer
        print(f"No item has an answer: {error}", file=sys.stderr)
        return clock.spent(), 0
    spent = clock.spent()
    stored = sum(len(file.read_text().splitlines()) for file in folder.glob("*/responses_*.jsonl"))
    assert answered == stored, (answered, stored)
    return spent, stored


def main() -> None:
    options = assignment.parse(__doc__, ["generate"])
    logging.disable(logging.WARNING)
    spent, stored = _generate(
        options.folder, list(assignment.items(options.items)), options.base_url, options.in_flight
    )
    assignment.answer(
        seconds=spent.seconds,
        cpu_seconds=spent.cpu_seconds,
        items=stored,
        versions={"curator": importlib.metadata.version("bespokelabs-curator")},
    )


if __name__ == "__main__":
    main()
