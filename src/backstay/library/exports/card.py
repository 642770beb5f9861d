"""The dataset card of an export: front matter for the Hugging Face Hub, and figures for people."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backstay.errors import OutputUnwritable
from backstay.library.conversation import Conversation
from backstay.library.exports.request import ExportedFile, ExportRequest, ExportResult
from backstay.library.id_text import printed_id

_MARK = "<!-- Written by `backstay conversations export --card`; the next export replaces this file. -->"
_MAX_NAMES = 1_000  # of models and jobs; further ones are counted together
_MAX_LISTED = 50
_OTHERS = "others"
_KNOWN_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
          (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"))  # fmt: skip
_LARGEST_SIZE = "100M<n<1B"


class CardFigures:
    """The figures of the conversations that an export wrote. Observes the export."""

    def __init__(self) -> None:
        self.roles: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self.jobs: Counter[str] = Counter()
        self.turns = _Range()
        self.characters = _Range()

    def observe(self, conversation: Conversation) -> None:
        for turn in conversation.turns:
            _count(self.roles, turn.role)
        self.turns.add(len(conversation.turns))
        self.characters.add(sum(len(turn.content) for turn in conversation.turns))
        if isinstance(model := conversation.metadata.get("writer"), str):
            _count(self.models, model)
        if conversation.job_id is not None:
            _count(self.jobs, conversation.job_id)

    def finish(self) -> None:
        """Do nothing: figures never refuse an export."""


class _Range:
    """The smallest, the largest and the mean of some numbers."""

    def __init__(self) -> None:
        self._least, self._most, self._sum, self._count = 0, 0, 0, 0

    def add(self, number: int) -> None:
        self._least = number if not self._count else min(self._least, number)
        self._most = max(self._most, number)
        self._sum += number
        self._count += 1

    def __str__(self) -> str:
        mean = self._sum / self._count if self._count else 0
        return f"{self._least:,} to {self._most:,}, {mean:,.1f} on average"


def _count(counter: Counter[str], name: str) -> None:
    counter[name if name in counter or len(counter) < _MAX_NAMES else _OTHERS] += 1


def format_card(
    name: str, request: ExportRequest, result: ExportResult, figures: CardFigures, recipes: Mapping[str, str]
) -> bytes:
    """Return the text of a card; `recipes` are the fingerprints of the recipes of jobs."""
    import yaml  # here, because every command imports this module

    front = yaml.safe_dump(_front_matter(request, result), sort_keys=False, allow_unicode=True)
    parts = [
        f"---\n{front}---\n\n{_MARK}\n\n# {printed_id(name)}\n",
        f"{result.exported:,} conversations in the format `{result.format}`, exported by Backstay.\n",
        _table(("what", "per conversation"), [("turns", str(figures.turns)), ("characters", str(figures.characters))]),
        _table(("role", "turns"), _ranked(figures.roles)),
        _table(("split", "conversations"), [(_code(side), f"{count:,}") for side, count in result.splits.items()]),
        _table(("model", "conversations"), _ranked(figures.models)),
        _table(
            ("job", "conversations", "recipe"),
            [
                (*row, recipes.get(job, "–"))
                for job, row in zip(_names(figures.jobs), _ranked(figures.jobs), strict=True)
            ],
        ),
        _table(("left out", "times", "conversations"), _losses(result)),
    ]
    return "\n".join(part for part in parts if part).encode()


def listed_jobs(figures: CardFigures) -> Sequence[str]:
    """Return the jobs that the card lists, by falling number of conversations."""
    return _names(figures.jobs)


def refuse_other_card(path: Path) -> None:
    """Raise OutputUnwritable if the card would replace something that is not the card of an export."""
    if path.exists() and not (path.is_file() and _MARK in path.read_text(encoding="utf-8", errors="replace")):
        raise OutputUnwritable(
            f"{path} was not written by an export, and the card would replace it; move it away", path=str(path)
        )


def _front_matter(request: ExportRequest, result: ExportResult) -> dict[str, Any]:
    sizes = (size for limit, size in _SIZES if result.exported < limit)
    return {
        **_license(request.license),
        "size_categories": [next(sizes, _LARGEST_SIZE)],
        "configs": [{"config_name": "default", "data_files": _data_files(request, result.files)}],
    }


def _license(text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    return {"license": text} if _KNOWN_LICENSE.fullmatch(text) else {"license": "other", "license_name": text}


def _data_files(request: ExportRequest, files: Sequence[ExportedFile]) -> list[dict[str, str]]:
    patterns = {}
    for file in files:
        if file.conversations:  # an empty file cannot be loaded
            name = re.sub(r"-\d+(?=\.\w+$)", "-*", file.name) if request.shard_size is not None else file.name
            patterns[file.split or "train"] = name
    return [{"split": side, "path": pattern} for side, pattern in patterns.items()]


def _names(counter: Counter[str]) -> list[str]:
    return [name for name, _ in counter.most_common(_MAX_LISTED)]


def _ranked(counter: Counter[str]) -> list[tuple[str, str]]:
    return [(_code(name), f"{counter[name]:,}") for name in _names(counter)]


def _losses(result: ExportResult) -> list[tuple[str, str, str]]:
    return [(str(lost.loss), f"{lost.count:,}", f"{lost.conversations:,}") for lost in result.losses]


def _code(name: str) -> str:
    return f"`{printed_id(name).replace('`', chr(39)).replace('|', '¦')}`"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table, or an empty text without rows."""
    if not rows:
        return ""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
