"""Take out one condition at a time, and list those that no test misses: `python scripts/mutate.py [--only PATH]`.

In SQL that writes, each condition of each WHERE becomes TRUE. In the listed modules, conditions are negated or left out
and `raise` does nothing. Each mutant is made in a copy of the tree, and only the tests that execute its statement or
function are run on it.
"""

import argparse
import ast
import contextlib
import importlib
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
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
QUERIES = ("src/backstay/storage/sqlite/queries", "src/backstay/storage/sql/queries")
GUARDS = ("fence", "worker_at_beat")  # they only read, but decide whether anything is written
MODULES = [
    *(f"src/backstay/batch/{name}.py" for name in ("worker", "committer", "lease", "outcome")),
    *(f"src/backstay/backup/{name}.py" for name in ("verifier", "deleter", "retention", "restorer")),
]
SQL_TESTS = ["tests/store"]
TESTS = [*SQL_TESTS, "tests/unit/batch", "tests/unit/backup", "tests/durability/backups/test_corruption.py"]
ARGUMENTS = ["-q", "-x", "-p", "no:cacheprovider", "--ignore=tests/store/postgres"]
ON_SQLITE = ["-k", "not postgres and not pgbouncer and not adopted"]
PRELOADED = ("apsw", "httpx", "orjson", "psycopg", "pydantic", "zstandard")  # a forked child need not import them
_BROKEN = 70  # exit status of a child whose pytest did not even run
_TOKEN = re.compile(r"--[^\n]*|'[^']*'|[()]|\w+", re.ASCII)
_ENDS = {"ORDER", "GROUP", "LIMIT", "RETURNING", "UNION", "ON", "FOR"}


class Mutant(NamedTuple):
    path: str
    line: int
    text: str
    """What was changed."""
    start: int
    end: int
    new: str
    scope: str
    """The statement or the function that it is in, by which tests are selected."""


def sql_mutants(path: str, text: str) -> Iterator[Mutant]:
    """Yield a mutant for each condition that is joined by AND to a WHERE."""
    wheres: list[tuple[int, list[int]]] = []  # depth, and where its conditions begin
    depth, conditions = 0, []
    for match in [*_TOKEN.finditer(text), None]:
        word = match[0].upper() if match else ")"
        depth += word == "("
        if word == "WHERE":
            wheres.append((depth, [match.end()]))
        elif word == "AND" and wheres and wheres[-1][0] == depth:
            conditions.append((wheres[-1][1][-1], match.start()))
            wheres[-1][1].append(match.end())
        elif wheres and wheres[-1][0] == depth and (word in _ENDS or word == ")"):
            conditions.append((wheres.pop()[1][-1], match.start() if match else len(text)))
        depth -= word == ")"
    for start, end in sorted(conditions):
        condition = text[start:end].strip()
        at = text.index(condition, start)
        yield Mutant(path, text.count("\n", 0, at) + 1, condition, at, at + len(condition), "TRUE", Path(path).stem)


def python_mutants(path: str, text: str) -> Iterator[Mutant]:
    """Yield mutants that negate a condition, leave out a part of one, or do not raise."""
    lines = [0]
    for line in text.encode().splitlines(keepends=True):
        lines.append(lines[-1] + len(line))

    def mutant(node: Any, new: str, scope: str) -> Mutant:
        start, end = (len(text.encode()[: lines[row - 1] + column].decode()) for row, column in (
            (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)))  # fmt: skip
        old = text[start:end]
        return Mutant(path, node.lineno, f"{' '.join(old.split())} → {new[:5]}", start, end, new, scope)

    def visit(node: ast.AST, scope: str) -> Iterator[Mutant]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            scope = node.name
        if isinstance(node, ast.If | ast.While | ast.Assert | ast.IfExp):
            yield mutant(node.test, f"(not ({ast.get_source_segment(text, node.test)}))", scope)
        if isinstance(node, ast.BoolOp):
            yield from (mutant(part, str(isinstance(node.op, ast.And)), scope) for part in node.values)
        if isinstance(node, ast.Raise):
            yield mutant(node, "pass", scope)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, scope)

    return visit(ast.parse(text), "")


class Recorder:
    """A pytest plugin that records which tests execute which statements and functions, and for how long."""

    def __init__(self, root: Path) -> None:
        self.tests: dict[str, dict[str, float]] = defaultdict(dict)
        self._root = str(root / "src")
        self._codes: set[Any] = set()
        self._names: set[str] = set()

    def _profile(self, frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(self._root):
            self._codes.add(frame.f_code)
            if "name" in frame.f_locals and "/storage/sqlite/" in frame.f_code.co_filename:
                self._names.add(str(frame.f_locals["name"]))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self._codes, self._names, before = set(), set(), time.monotonic()
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        try:
            return (yield)
        finally:
            sys.setprofile(None)
            seconds = time.monotonic() - before
            where = {os.path.relpath(code.co_filename, Path(self._root).parent) for code in self._codes}
            scopes = {f"{os.path.relpath(c.co_filename, Path(self._root).parent)}:{c.co_name}" for c in self._codes}
            for name in where | scopes | self._names:
                self.tests[name][item.nodeid] = seconds


def run(arguments: list[str], seconds: float, record: Path | None = None) -> int | None:
    """Run pytest in a child process; return its exit status, or None if it ran out of time."""
    if (pid := os.fork()) == 0:
        status = _BROKEN
        try:
            os.setpgid(0, 0)
            with open(os.devnull, "w") as nothing:  # noqa: PTH123 - no path of the project
                os.dup2(nothing.fileno(), 1)
                os.dup2(nothing.fileno(), 2)
            recorder = Recorder(Path.cwd())
            status = int(pytest.main([*ARGUMENTS, *arguments], plugins=[recorder] if record else []))
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


def mutants(only: str | None) -> list[Mutant]:
    """Return all mutants, or those in files whose path contains `only`."""
    found: list[Mutant] = []
    for path in sorted(file for folder in QUERIES for file in (ROOT / folder).glob("*.sql")):
        text = path.read_text()
        if path.stem in GUARDS or re.search(r"^\s*(INSERT|UPDATE|DELETE)\b", text, re.MULTILINE):
            found += sql_mutants(str(path.relative_to(ROOT)), text)
    for name in MODULES:
        found += python_mutants(name, (ROOT / name).read_text())
    return [mutant for mutant in found if only is None or only in mutant.path]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="PATH", help="only in files whose path contains this")
    parser.add_argument("--sample", type=int, metavar="N", help="only so many, chosen at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60, help="time limit for the tests of one mutant")
    options = parser.parse_args()
    chosen = mutants(options.only)
    if options.sample is not None and options.sample < len(chosen):
        chosen = sorted(random.Random(options.seed).sample(chosen, options.sample))  # noqa: S311 - no secret
    with tempfile.TemporaryDirectory() as folder:
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        os.chdir(folder)
        sys.path.insert(0, f"{folder}/src")
        os.environ["PYTHONPATH"] = f"{folder}/src"
        for name in PRELOADED:
            importlib.import_module(name)
        is_sql = all(mutant.path.endswith(".sql") for mutant in chosen)
        record = Path(folder, "tests.json")
        if (status := run([*ON_SQLITE, *(SQL_TESTS if is_sql else TESTS)], 3600, record)) != 0:
            sys.exit(f"Without a mutation, the tests end with {status}")
        tests = json.loads(record.read_text())
        survivors = 0
        for mutant in chosen:
            if not is_missed(mutant, tests, options.seconds):
                survivors += 1
                print(f"{mutant.path}:{mutant.line}: {mutant.text}", flush=True)
    print(f"{survivors} of {len(chosen)} mutants survive")


def is_missed(mutant: Mutant, tests: dict[str, dict[str, float]], seconds: float) -> bool:
    """Return whether a test fails with this mutant."""
    path, scope = Path(mutant.path), f"{mutant.path}:{mutant.scope}"
    is_sql = path.suffix == ".sql"
    runs = tests.get(mutant.scope if is_sql else scope if mutant.scope else mutant.path, {})
    original = path.read_text()
    mutated = original[: mutant.start] + mutant.new + original[mutant.end :]
    path.write_text(re.sub(r" INDEXED BY \w+", "", mutated) if is_sql else mutated)
    with contextlib.suppress(FileNotFoundError):  # it may be as old and as long as the mutant
        Path(importlib.util.cache_from_source(mutant.path)).unlink()
    try:
        status = run(sorted(runs, key=runs.__getitem__), seconds) if runs else 0
        if status not in (None, 0, 1, 2):  # 2: a test module could not be imported
            sys.exit(f"{mutant.path}:{mutant.line}: the tests could not be run: {status}")
        return status != 0
    finally:
        path.write_text(original)


if __name__ == "__main__":
    main()
