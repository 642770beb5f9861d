"""distilabel, asking a model; runs in a venv that has it.

`generate`: one run of a `Pipeline` of two steps: `LoadDataFromDicts` in batches of 200, and `TextGeneration` with an
`OpenAILLM` at the server's base URL and an input batch of 200, so that 200 calls are in flight. Each batch is asked
whole, and the next begins when it is back.

The time is that of `run`, which starts a process for each step and ends with the dataset. Batches are kept in its cache
as they end, and finished ones are written to Parquet files in groups; none is flushed to disk. So results are
durable by the batch, not one by one. What is counted is the rows of the dataset that have a text, read from its files.
"""

import importlib.metadata
import os
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}

from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGeneration

import assignment


def _generate(folder: Path, items: list[dict[str, Any]], base_url: str, in_flight: int) -> tuple[assignment.Spent, int]:
    rows = [{"id": item["id"], "instruction": assignment.prompt(item)} for item in items]
    with Pipeline(name="side-by-side", cache_dir=folder) as pipeline:
        load = LoadDataFromDicts(name="load", data=rows, batch_size=in_flight)
        model = OpenAILLM(model=assignment.MODEL, base_url=base_url, api_key="none")
        write = TextGeneration(name="write", llm=model, input_batch_size=in_flight)
        load >> write
    clock = assignment.Clock()
    dataset = pipeline.run()
    spent = clock.spent()
    return spent, sum(text is not None for text in dataset["default"]["train"]["generation"])


def main() -> None:
    options = assignment.parse(__doc__, ["generate"])
    spent, stored = _generate(
        options.folder, list(assignment.items(options.items)), options.base_url, options.in_flight
    )
    assignment.answer(
        seconds=spent.seconds,
        cpu_seconds=spent.cpu_seconds,
        items=stored,
        versions={name: importlib.metadata.version(name) for name in ("distilabel", "openai")},
    )


if __name__ == "__main__":
    main()
