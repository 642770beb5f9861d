"""Take out one condition at a time, and list those whose loss no test detects: `python scripts/mutate.py`.

In SQL that writes, each condition of each WHERE becomes TRUE. In the modules of batches and backups, conditions are
negated or left out and `raise` does nothing. Each mutant is made in a copy of the tree, and only the tests that execute
its statement or function are run on it.
"""

import argparse
import ast
import importlib.util
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
QUERIES = ("src/backstay/storage/sqlite/queries", "src/backstay/storage/sql/queries")
GUARDS = ("fence", "worker_at_beat")  # they only read, but decide whether anything is written
PACKAGES = ("src/backstay/batch", "src/backstay/backup")
SQL_TESTS = ("tests/store", "--ignore=tests/store/postgres")
TESTS = (
    *(*SQL_TESTS, "tests/unit/batch", "tests/unit/backup"),
    *(f"tests/durability/backups/test_{name}.py" for name in ("corruption", "damage", "folder_ownership")),
    *("tests/integration", "--ignore=tests/integration/generation", "--ignore=tests/integration/test_additions.py"),
)
OPTIONS = ("-q", "-x", "-p", "no:cacheprovider", "-k", "not postgres and not pgbouncer and not adopted")
DETECTED, NOT_RUN = (1, 2, None), 70  # 2: the mutant could not be imported; None: the tests ran out of time
_SQL_TOKEN = re.compile(r"--[^\n]*|'[^']*'|[()]|\w+|\Z")
_AFTER_WHERE = {"ORDER", "GROUP", "LIMIT", "RETURNING", "UNION", "ON", "FOR", ")", ""}


class Mutant(NamedTuple):
    path: str
    line: int
    text: str
    start: int
    end: int
    new: str
    scope: str
    """The statement, or the file and function, that a test must execute to detect it."""


def sql_mutants(path: str, text: str) -> Iterator[Mutant]:
    """Yield a mutant for each condition that is joined by AND to a WHERE."""
    begun: list[tuple[int, int]] = []  # depth in parentheses, and where a condition begins
    depth = 0
    for match in _SQL_TOKEN.finditer(text):
        word = match[0].upper()
        depth += word == "("
        if begun and begun[-1][0] == depth and (word == "AND" or word in _AFTER_WHERE):
            old = text[begun.pop()[1] : match.start()].strip()
            start = text.rindex(old, 0, match.start())
            line = text.count("\n", 0, start) + 1
            yield Mutant(path, line, f"{old} → TRUE", start, start + len(old), "TRUE", Path(path).stem)
            if word == "AND":
                begun.append((depth, match.end()))
        if word == "WHERE":
            begun.append((depth, match.end()))
        depth -= word == ")"


def python_mutants(path: str, text: str) -> Iterator[Mutant]:
    """Yield mutants that negate a condition, leave out a part of one, or do not raise."""
    lines = text.splitlines(keepends=True)

    def offset(line: int, column: int) -> int:
        return sum(map(len, lines[: line - 1])) + len(lines[line - 1].encode()[:column].decode())

    def mutant(node: Any, new: str, scope: str) -> Mutant:
        start, end = offset(node.lineno, node.col_offset), offset(node.end_lineno, node.end_col_offset)
        old, new = text[start:end], new.format(text[start:end])
        return Mutant(path, node.lineno, " ".join(f"{old} → {new}".split()), start, end, new, f"{path}:{scope}")

    def visit(node: ast.AST, scope: str) -> Iterator[Mutant]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            scope = node.name
        if isinstance(node, ast.If | ast.While | ast.Assert | ast.IfExp):
            yield mutant(node.test, "(not ({}))", scope)
        if isinstance(node, ast.BoolOp):
            yield from (mutant(part, str(isinstance(node.op, ast.And)), scope) for part in node.values)
        if isinstance(node, ast.Raise):
            yield mutant(node, "pass", scope)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, scope)

    return visit(ast.parse(text), "")


class Recorder:
    """A pytest plugin that records the seconds of each test that executes a statement or function."""

    def __init__(self) -> None:
        self.tests: dict[str, dict[str, float]] = defaultdict(dict)
        self._scopes: set[str] = set()

    def _profile(self, frame: Any, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and (at := code.co_filename.find("src/backstay/")) >= 0:
            self._scopes.add(f"{code.co_filename[at:]}:{code.co_name}")
            if "/storage/sqlite/" in code.co_filename and "name" in frame.f_locals:
                self._scopes.add(str(frame.f_locals["name"]))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self._scopes, started_at = set(), time.monotonic()
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        try:
            return (yield)
        finally:
            sys.setprofile(None)
            for scope in self._scopes:
                self.tests[scope][item.nodeid] = time.monotonic() - started_at


def run(arguments: list[str], seconds: float, record: Path | None = None) -> int | None:
    """Run pytest in a child process; return its exit status, or None if it ran out of time."""
    if (pid := os.fork()) == 0:
        status, recorder = NOT_RUN, Recorder()
        try:
            os.setpgid(0, 0)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            status = int(pytest.main([*OPTIONS, *arguments], plugins=[recorder] if record else []))
            if record:
                record.write_text(json.dumps(recorder.tests))
        finally:
            os._exit(status)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def is_detected(mutant: Mutant, tests: dict[str, float], seconds: float) -> bool:
    """Return whether a test fails with this mutant."""
    path = Path(mutant.path)
    original = path.read_text()
    mutated = original[: mutant.start] + mutant.new + original[mutant.end :]
    # Without one of its conditions, an index may be impossible to use, which is an error.
    path.write_text(re.sub(r" INDEXED BY \w+", "", mutated) if path.suffix == ".sql" else mutated)
    # Compiled code of another mutant may have the same time and length.
    Path(importlib.util.cache_from_source(mutant.path)).unlink(missing_ok=True)
    try:
        seconds = max(seconds, 3 * sum(tests.values()))
        status = run(sorted(tests, key=tests.__getitem__), seconds) if tests else 0
    finally:
        path.write_text(original)
    if status not in (0, *DETECTED):
        sys.exit(f"{mutant.path}:{mutant.line}: the tests could not be run: {status}")
    return status in DETECTED


def _files(folders: tuple[str, ...], pattern: str) -> list[Path]:
    return sorted(path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).glob(pattern))


def find_mutants(only: str) -> list[Mutant]:
    """Return all mutants in files whose path contains `only`."""
    mutants: list[Mutant] = []
    for path in _files(QUERIES, "*.sql"):
        text = (ROOT / path).read_text()
        if path.stem in GUARDS or re.search(r"^\s*(INSERT|UPDATE|DELETE)\b", text, re.MULTILINE):
            mutants += sql_mutants(str(path), text)
    for module in _files(PACKAGES, "*.py"):
        mutants += python_mutants(str(module), (ROOT / module).read_text())
    return [mutant for mutant in mutants if only in mutant.path]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PATH", default="", help="only in files whose path contains this")
    parser.add_argument("--list", action="store_true", help="count the conditions of each file instead of testing them")
    parser.add_argument("--sample", type=int, metavar="N", help="only so many, chosen at random")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--seconds", type=float, default=60, help="shortest time limit for the tests of one mutant")
    options = parser.parse_args()
    mutants = find_mutants(options.only)
    if options.list:
        for path, count in Counter(mutant.path for mutant in mutants).items():
            print(f"{count:5} {path}")
        print(f"{len(mutants):5} in all")
        return
    if options.sample is not None and options.sample < len(mutants):
        mutants = sorted(random.Random(options.seed).sample(mutants, options.sample))  # noqa: S311 - no secret
    with tempfile.TemporaryDirectory() as folder:
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        os.chdir(folder)
        sys.path.insert(0, f"{folder}/src")
        os.environ["PYTHONPATH"] = f"{folder}/src"
        is_sql, record = all(mutant.path.endswith(".sql") for mutant in mutants), Path(folder, "tests.json")
        if (status := run([*(SQL_TESTS if is_sql else TESTS)], 3600, record)) != 0:
            sys.exit(f"Without a mutant, the tests end with status {status}")
        tests = json.loads(record.read_text())
        survivors = 0
        for mutant in mutants:
            if not is_detected(mutant, tests.get(mutant.scope, {}), options.seconds):
                survivors += 1
                print(f"{mutant.path}:{mutant.line}: {' '.join(mutant.text.split())}", flush=True)
        os.chdir(ROOT)
    print(f"{survivors} of {len(mutants)} mutants survive")


if __name__ == "__main__":
    main()
