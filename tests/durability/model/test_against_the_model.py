"""The engine and its model agree after every step of random sequences."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from backstay.storage.sql import leases, work
from backstay.storage.sql.database import Session, Values
from backstay.storage.sqlite import queries, session
from durability.model._engine_machine import EngineMachine
from support.faults import sabotage
from support.harness.sampling import FULL
from support.stores import postgres

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
    """Random runs, kills, reclaimed leases, pauses, retries and additions by two owners match the model on SQLite."""
    run_state_machine_as_test(EngineMachine, settings=STEPS)


class ServerMachine(EngineMachine):
    """The same machine on a server."""

    def make_database(self) -> str:
        return postgres.fresh_database()

    def drop_database(self) -> None:
        postgres.drop_database(str(self._database))


@pytest.mark.sweep
def test_engine_and_model_agree_on_a_server():
    """The same random steps match the model on PostgreSQL, where transactions run concurrently."""
    postgres.need_a_server()
    run_state_machine_as_test(ServerMachine, settings=settings(STEPS, max_examples=2_000 if FULL else 6))


class HastyMachine(EngineMachine):
    """The machine for engines that are broken on purpose, which may never finish a job."""

    patience = 2.0


class WithoutCounts:
    """A session that does not change the counters of jobs."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __getattr__(self, name: str) -> object:
        return getattr(self._session, name)

    def execute(self, name: str, values: Values) -> int:
        return 0 if name == "move_counts" else self._session.execute(name, values)


def reclaims_leave_the_counters(patch: pytest.MonkeyPatch) -> None:
    end = leases.end_lease

    def end_lease(in_session: Session, *arguments: object, is_stopping: bool, **limit: int) -> None:
        end(in_session if is_stopping else WithoutCounts(in_session), *arguments, is_stopping=is_stopping, **limit)

    patch.setattr(work, "end_lease", end_lease)


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
    "broken", [reclaims_leave_the_counters, interruptions_count_as_tries, outdated_tokens_may_write]
)
def test_a_broken_engine_does_not_agree(monkeypatch: pytest.MonkeyPatch, broken: Callable[[pytest.MonkeyPatch], None]):
    """The control: the same steps detect an engine with one broken promise."""
    broken(monkeypatch)
    options = settings(STEPS, max_examples=300, derandomize=True, phases=(Phase.generate,), report_multiple_bugs=False)

    try:
        disagreements = (AssertionError, pytest.fail.Exception)
        with pytest.raises(disagreements, match=r"^(B\d: |\['B\d: |stored are |counts are |DID NOT RAISE)"):
            run_state_machine_as_test(HastyMachine, settings=options)
    finally:
        queries._expand_rows.cache_clear()
