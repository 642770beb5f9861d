"""Fixtures: a local provider with scripted behaviour, and jobs that call it; invariants are checked after each test."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest

from backstay import Backstay, BatchResult, Recipe
from backstay.generate import adaptive_limit, error_scope, failure_handler, rate
from support.fakes.provider import KEY, ProviderServer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A SQLite file, since providers behave the same with every database."""
    return tmp_path / "library.db"


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        yield server


@pytest.fixture(params=["", "anthropic:"], ids=["openai", "anthropic"])
def recipe(request: pytest.FixtureRequest, provider: ProviderServer, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A recipe for the provider, with a key, in each of the APIs that it speaks."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    return Recipe(model=f"{request.param}writer", base_url=provider.base_url, turns=2)


@pytest.fixture
def quick_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten all waits for a rejecting provider by a factor of 300."""
    for module, names in (
        (adaptive_limit, ("_FIRST_PROBE_SECONDS", "MAX_PROBE_SECONDS")),
        (rate, ("MAX_PROBE_SECONDS", "_FIRST_DELAY_SECONDS", "_MAX_DELAY_SECONDS", "_STANDSTILL_SECONDS")),
        (failure_handler, ("_MIN_RETRY_SECONDS",)),
        (error_scope, ("_OUTAGE_SECONDS",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name) / 300)


@pytest.fixture
def generate(path: Path, recipe: Recipe) -> Callable[..., Any]:
    """Run a job over topics in a library that is opened and closed for it."""

    async def run(topics: Sequence[str] | int, *, recipe: Recipe = recipe, **options: Any) -> BatchResult:
        names = [f"topic {n}" for n in range(topics)] if isinstance(topics, int) else topics
        async with Backstay.open(path) as backstay:
            return await backstay.batches.run("job", [{"id": n, "topic": n} for n in names], recipe, **options)

    return run


@pytest.fixture
def stored(path: Path) -> Callable[[], list[tuple[str, list[str]]]]:
    """Read the stored conversations directly from the database: topic and texts of each."""

    def read() -> list[tuple[str, list[str]]]:
        connection = apsw.Connection(str(path))
        try:
            rows = connection.execute(
                "SELECT topic, content FROM (SELECT c.topic, c.key, t.sequence, t.content FROM conversations AS c "
                "JOIN turns AS t ON t.conversation_key = c.key) ORDER BY key, sequence"
            ).fetchall()
        finally:
            connection.close()
        texts: dict[str, list[str]] = {}
        for topic, content in rows:
            texts.setdefault(topic, []).append(content)
        return list(texts.items())

    return read


@pytest.fixture
def attempts(path: Path) -> Callable[[], list[tuple[Any, ...]]]:
    """Read the stored attempts: result, code, raw answer, tokens."""

    def read() -> list[tuple[Any, ...]]:
        connection = apsw.Connection(str(path))
        try:
            statement = "SELECT result, error_code, raw, tokens_in, tokens_out FROM attempts ORDER BY position, number"
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    return read
