"""The error responses of `support/data/error_responses.py` over HTTP: states of items and job, and number of calls."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import apsw
import pytest

from backstay import Backstay, BatchResult, ItemCounts, JobState, Recipe, StopSignal
from backstay.generate import failure_handler, reply_body
from backstay.generate.classification_rule import ErrorKind, RequestChange
from backstay.generate.error_scope import ErrorScope, SuspectedErrors
from support.data.error_responses import MODEL, NOW, REFUSALS, Row
from support.fakes.provider import KEY, Call, ProviderServer, Reply, Said, Status

pytestmark = pytest.mark.promise("B5", "B6")

_CONCURRENCY = 2
_OTHERS = ["one", "two", "three", "four"]
_MANY = [f"other {number}" for number in range(29)]


class _Trial:
    """A row of the corpus at an endpoint of its own, in a library shared by all rows."""

    def __init__(
        self, row: Row, backstay: Backstay, provider: ProviderServer, *, concurrency: int = _CONCURRENCY
    ) -> None:
        self.row = row
        self._concurrency = concurrency
        self.calls: list[Call] = []
        self._backstay = backstay
        self._provider = provider
        self._name = row.name
        self.stop = StopSignal()

    def refusal(self) -> Status:
        headers = {name: value for name, value in self.row.headers.items() if name.lower() != "content-type"}
        return Status(self.row.status, self.row.text, headers)

    async def run(self, behaviour, topics: Iterable[str], *, suffix: str = "", **fields: object) -> BatchResult:
        """Run a job at a new address, so that its account has no history."""
        self.calls.clear()

        def answer(call: Call) -> Reply:
            self.calls.append(call)
            return behaviour(call)

        self._provider.behaviour = answer
        number = REFUSALS.index(self.row)
        base_url = self._provider.base_url.replace("/v1", f"/row-{number}{suffix}/v1")
        recipe = Recipe(model=MODEL, base_url=base_url, turns=2, **fields)
        items = [{"id": topic, "topic": topic} for topic in topics]
        return await self._backstay.batches.run(
            f"{number}{suffix}", items, recipe, concurrency=self._concurrency, stop=self.stop
        )

    def about(self, topic: str) -> int:
        return sum(call.topic == topic for call in self.calls)


async def _is_the_items(trial: _Trial, others: Sequence[str] = _OTHERS) -> None:
    """Check that one rejected item fails after one call with its code, and all others complete."""
    result = await trial.run(lambda call: trial.refusal() if call.topic == "bad" else Said(), ["bad", *others])

    assert result.counts == ItemCounts(completed=len(others), failed=1)
    assert len(trial.calls) == len(others) + 1


async def _is_the_accounts(trial: _Trial) -> None:
    """Check that the job pauses with the code after a few calls, with all items pending."""
    result = await trial.run(lambda _: trial.refusal(), ["bad", *_OTHERS, "five", "six", "seven"])

    assert (result.state, result.counts) == (JobState.PAUSED, ItemCounts(pending=8))
    assert result.pause is not None
    assert result.pause.code == trial.row.code
    assert result.pause.evidence
    assert len(trial.calls) <= (_CONCURRENCY if trial.row.decisive else 2 * _CONCURRENCY + 1)


async def _may_be_the_items(trial: _Trial, others: Sequence[str] = _OTHERS) -> None:
    """Check that an item rejected twice while others succeed fails, and the job continues."""
    behaviour = lambda call: trial.refusal() if call.topic == "bad" else Said()  # noqa: E731
    result = await trial.run(behaviour, ["bad", *others], suffix="-one")

    assert result.counts == ItemCounts(completed=len(others), failed=1), f"the job is {result.state}: {result.counts}"
    assert (trial.about("bad"), len(trial.calls)) == (2, len(others) + 2)


async def _passes(trial: _Trial) -> None:
    """Check that the item stays pending after the error, and keeps all its tries."""

    def once(_: Call) -> Reply:
        trial.stop.request()
        return trial.refusal()

    result = await trial.run(once, ["bad"])

    assert result.counts == ItemCounts(pending=1)
    assert len(trial.calls) == 1


async def _is_asked_differently(trial: _Trial) -> None:
    """Check that the request is sent again in another form if there is one, and all items complete."""
    row = trial.row

    def behaviour(call: Call) -> Reply:
        match row.change:
            case RequestChange.SIMPLER:
                is_refused = call.body.get("response_format", {}).get("type") == "json_schema"
            case RequestChange.RESAMPLE:
                is_refused = call.topic == "bad" and trial.about("bad") == 1
            case _:
                is_refused = row.parameter in call.body
        return trial.refusal() if is_refused else Said()

    result = await trial.run(behaviour, ["bad", *_OTHERS], max_tokens=99, temperature=0.5)

    assert result.counts == ItemCounts(completed=5)
    assert len(trial.calls) <= 5 + _CONCURRENCY
    if row.change is not RequestChange.RESAMPLE and row.parameter in ("max_tokens", "temperature"):
        assert len(trial.calls) > 5


@pytest.mark.parametrize("kind", list(ErrorKind))
async def test_each_refusal_costs_what_it_may_and_comes_to_what_it_should(kind, provider, tmp_path, monkeypatch):
    """Every error response of the corpus has the effect of its kind, at its maximum number of calls."""
    monkeypatch.setattr(reply_body, "SystemClock", lambda: SimpleNamespace(now=lambda: NOW))
    monkeypatch.setattr(failure_handler, "_MIN_RETRY_SECONDS", 0.01)
    async with Backstay.open(tmp_path / "wild.db") as backstay:
        for row in REFUSALS:
            if row.kind is not kind or 200 <= row.status < 300:
                continue
            if row.has_key:
                monkeypatch.setenv("OPENAI_API_KEY", KEY)
            else:
                monkeypatch.delenv("OPENAI_API_KEY", raising=False)
            trial = _Trial(row, backstay, provider)
            try:
                await _try(trial)
            except AssertionError as error:
                raise AssertionError(f"{row.name}: {error}") from error
    _check_tries(tmp_path / "wild.db")


def _of_items() -> Iterator[Row]:
    """Yield the first row of each code that concerns, or may concern, one item."""
    seen = set()
    for row in REFUSALS:
        may_be = (
            row.kind in (ErrorKind.ITEM, ErrorKind.UNKNOWN, ErrorKind.ACCOUNT, ErrorKind.MODEL) and not row.decisive
        )
        if may_be and row.status >= 300 and (row.kind, row.code) not in seen:
            seen.add((row.kind, row.code))
            yield row


async def test_one_of_thirty_is_refused_and_the_others_come_through(provider, tmp_path, monkeypatch):
    """If one of thirty items gets an error of its own, the other 29 complete with one call each."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(failure_handler, "_MIN_RETRY_SECONDS", 0.01)
    async with Backstay.open(tmp_path / "wild.db") as backstay:
        for row in _of_items():
            may_be = row.kind in (ErrorKind.ACCOUNT, ErrorKind.MODEL)
            trial = _Trial(row, backstay, provider, concurrency=4)
            try:
                await (_may_be_the_items if may_be else _is_the_items)(trial, _MANY)
            except AssertionError as error:
                raise AssertionError(f"{row.name}: {error}") from error
    _check_tries(tmp_path / "wild.db")


async def test_control_a_suspicion_taken_for_certain_stops_the_others(provider, tmp_path, monkeypatch):
    """If a suspected error is treated as certain, the error of one item pauses the whole job."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(SuspectedErrors, "judge", lambda *_: ErrorScope.ALL)
    row = next(row for row in _of_items() if row.kind is ErrorKind.ACCOUNT)
    async with Backstay.open(tmp_path / "wild.db") as backstay:
        with pytest.raises(AssertionError, match=r"^the job is paused: "):
            await _may_be_the_items(_Trial(row, backstay, provider), _MANY)


async def _try(trial: _Trial) -> None:
    match trial.row.kind:
        case ErrorKind.ITEM | ErrorKind.UNKNOWN:
            await _is_the_items(trial)
        case ErrorKind.ACCOUNT | ErrorKind.MODEL:
            await _is_the_accounts(trial)
            if not trial.row.decisive:
                await _may_be_the_items(trial)
        case ErrorKind.TRANSIENT:
            await _passes(trial)
        case ErrorKind.ADAPTABLE:
            await _is_asked_differently(trial)


def _check_tries(path: Path) -> None:
    """Check that only failed items have used a try, and that each attempt has the code of its row."""
    connection = apsw.Connection(str(path))
    try:
        rows = connection.execute(
            "SELECT jobs.id, items.state, items.tries, attempts.error_code FROM items "
            "JOIN jobs ON jobs.key = items.job_key JOIN attempts ON attempts.job_key = items.job_key "
            "AND attempts.position = items.position AND attempts.number = items.attempt WHERE items.id = 'bad'"
        ).fetchall()
    finally:
        connection.close()
    for job, state, tries, code in rows:
        row = REFUSALS[int(job.partition("-")[0])]
        assert tries == (1 if state == "failed" else 0), row.name
        if state == "failed":
            assert code == ("refused_by_provider" if job.endswith("-one") else row.code), row.name
        elif state == "pending":
            assert code == row.code, row.name
