"""Whatever is done to jobs, in whatever order, engine and model agree after every step."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from backstay.storage.sql import work
from backstay.storage.sql.session import Session, Values
from backstay.storage.sqlite import queries, session
from support import postgres, sabotage
from support.engine_machine import EngineMachine
from support.torture import FULL

pytestmark = pytest.mark.promise("B4", "B5", "B6", "B7")

STEPS = settings(
    max_examples=2_000 if FULL else 30,
    stateful_step_count=15,
    deadline=None,
    database=None,
    derandomize=not FULL,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.sweep
def test_engine_and_model_agree():
    """Runs, kills, takeovers, pauses, retries, additions and refusals, by two owners with jobs of the same names."""
    run_state_machine_as_test(EngineMachine, settings=STEPS)


class ServerMachine(EngineMachine):
    """The same on a server."""

    def make_database(self) -> str:
        return postgres.fresh_database()

    def drop_database(self) -> None:
        postgres.drop_database(str(self._database))


@pytest.mark.sweep
def test_engine_and_model_agree_on_a_server():
    """Likewise, where transactions run side by side."""
    postgres.need_a_server()
    run_state_machine_as_test(ServerMachine, settings=settings(STEPS, max_examples=2_000 if FULL else 6))


class HastyMachine(EngineMachine):
    """For engines that are broken on purpose: they may never come to an end."""

    patience = 2.0


class WithoutCounts:
    """A session that leaves the counters as they are."""

    def __init__(self, whole: Session) -> None:
        self._whole = whole

    def __getattr__(self, name: str) -> object:
        return getattr(self._whole, name)

    def execute(self, name: str, values: Values) -> int:
        return 0 if name == "move_counts" else self._whole.execute(name, values)


def takeovers_leave_the_counters(patch: pytest.MonkeyPatch) -> None:
    end = work._end_lease

    def end_lease(whole: Session, *given: object, crash_limit: int | None) -> None:
        end(WithoutCounts(whole) if crash_limit is not None else whole, *given, crash_limit=crash_limit)

    patch.setattr(work, "_end_lease", end_lease)


def interruptions_count_as_tries(patch: pytest.MonkeyPatch) -> None:
    query = queries.query
    statement = query("interrupt_items")
    broken = statement.replace("worker = NULL", "tries = tries + 1, worker = NULL")
    assert broken != statement
    for module in (queries, session):
        patch.setattr(module, "query", lambda name: broken if name == "interrupt_items" else query(name))


def outdated_tokens_may_write(patch: pytest.MonkeyPatch) -> None:
    sabotage.switch_off("fence", patch.setattr)


@pytest.mark.parametrize(
    "broken", [takeovers_leave_the_counters, interruptions_count_as_tries, outdated_tokens_may_write]
)
def test_a_broken_engine_does_not_agree(monkeypatch: pytest.MonkeyPatch, broken: Callable[[pytest.MonkeyPatch], None]):
    """The control: with one promise broken on purpose, the same steps find out."""
    broken(monkeypatch)
    enough = settings(STEPS, max_examples=300, derandomize=True, phases=(Phase.generate,), report_multiple_bugs=False)

    try:
        found = (AssertionError, pytest.fail.Exception)
        with pytest.raises(found, match=r"^(B\d: |\['B\d: |stored are |counts are |DID NOT RAISE)"):
            run_state_machine_as_test(HastyMachine, settings=enough)
    finally:
        queries._expanded.cache_clear()
