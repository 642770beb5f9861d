"""The words of this code base: plain, and one for each idea."""

import ast
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.harness.requirements import missing

_ROOT = Path(__file__).parents[2]
_LARGEST_GLOSSARY = 60

# Words that a reader must learn, or read twice, and what the field says instead.
_BANNED = {
    r"whoever": "another process, the caller",
    r"somebody|nobody": "another process, no worker, no one",
    r"as of `": "like `…`",
    r"likewise": "the same holds for",
    r"of no use": "unusable, invalid",
    r"g(?:o|oes|one|oing) on with": "resume, continue",
    r"cut off": "interrupted, truncated",
    r"what came of": "result",
    r"tells?|told": "report, say, message",
    r"mend(?:s|ed|ing)?": "fix",
    r"besides?": "next to, also",
    r"ours|theirs": "built-in, the user's",
    r"hinder(?:s|ed|ing)?": "block, prevent",
    r"t(?:ake|akes|aken|aking|ook) over": "reclaim, for a lease",
}
_TEXTS = {".py", ".md", ".html", ".js", ".css", ".sql", ".toml"}


def _tracked(*folders: str) -> Iterator[Path]:
    if shutil.which("git") is None or not (_ROOT / ".git").exists():
        missing("git knows the tracked files of a clone")
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", *folders],  # the clone may be another user's
        check=True,
        cwd=_ROOT,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (_ROOT / name).is_file():
            yield _ROOT / name


def _trees(folder: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in _tracked(folder):
        if path.suffix == ".py":
            yield path.relative_to(_ROOT), ast.parse(path.read_text())


def _lines() -> Iterator[tuple[str, str]]:
    """Yield the lines of sources and pages, each with its place."""
    for path in _tracked("src", "docs", "README.md", "CONTRIBUTING.md"):
        if path.suffix in _TEXTS:
            for number, line in enumerate(path.read_text().splitlines(), 1):
                yield f"{path.relative_to(_ROOT)}:{number}", line


def _pattern(banned: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{banned})" + ("" if banned.endswith("`") else r"\b"), re.IGNORECASE)


def test_sources_and_docs_use_the_fields_words():
    """No source file and no page contains a banned word."""
    any_banned = re.compile("|".join(_pattern(banned).pattern for banned in _BANNED), re.IGNORECASE)

    uses = [
        f"{where}: {line.strip()[:100]} (write: {instead})"
        for where, line in _lines()
        if any_banned.search(line)
        for banned, instead in _BANNED.items()
        if _pattern(banned).search(line)
    ]

    assert uses == []


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("What came of it is told by whoever asks.", True),
        ("Nobody mends what stands beside ours.", True),
        ("    hindered    text", True),
        ("Resume the job; the report names each recommended item.", False),
    ],
)
def test_banned_words_are_found(line, is_found):
    """The patterns find the dialect and leave plain English alone."""
    assert any(_pattern(banned).search(line) for banned in _BANNED) is is_found


def test_no_class_name_is_used_twice():
    """A class name in `src` stands for one class."""
    names = Counter(node.name for _, tree in _trees("src") for node in ast.walk(tree) if isinstance(node, ast.ClassDef))

    assert names
    assert [name for name, count in names.items() if count > 1] == []


def test_the_glossary_is_short():
    """The glossary has at most sixty rows, and no word twice."""
    rows = re.findall(r"^\| \*\*(.+?)\*\*", (_ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)

    assert 0 < len(rows) <= _LARGEST_GLOSSARY
    assert len(set(rows)) == len(rows)


_FRAGMENT = re.compile(r"(?:So that|As|Like|Not|Also|And|Nor|But|Which|Because|Though|Than)\b")


def test_docstrings_of_tests_are_sentences():
    """Each test has a docstring that begins with a whole sentence of its own."""
    fragments = [
        f"{path}:{node.lineno}: {sentence[:100]!r}"
        for path, tree in _trees("tests")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        for sentence in [" ".join((ast.get_docstring(node) or "").split("\n\n", 1)[0].split())]
        if len(sentence.split()) < 3 or not sentence.endswith((".", ":", ")")) or _FRAGMENT.match(sentence)
    ]

    assert fragments == []
