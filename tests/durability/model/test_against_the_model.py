"""Whatever is done to jobs, in whatever order, engine and model agree after every step."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from holdfast.storage.sqlite import queries, results, work
from support import sabotage
from support.engine_machine import EngineMachine
from support.torture import FULL

STEPS = settings(
    max_examples=2_000 if FULL else 60,
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


class HastyMachine(EngineMachine):
    """For engines that are broken on purpose: they may never come to an end."""

    patience = 2.0


def takeovers_leave_the_counters(patch: pytest.MonkeyPatch) -> None:
    end, query = work._end_lease, work.query

    def end_lease(*given: object, crash_limit: int | None) -> None:
        if crash_limit is not None:
            work.query = lambda name: "SELECT 1" if name == "move_counts" else query(name)
        try:
            end(*given, crash_limit=crash_limit)
        finally:
            work.query = query

    patch.setattr(work, "_end_lease", end_lease)


def interruptions_count_as_tries(patch: pytest.MonkeyPatch) -> None:
    query = work.query
    statement = query("interrupt_items")
    broken = statement.replace("worker = NULL", "tries = tries + 1, worker = NULL")
    assert broken != statement
    patch.setattr(work, "query", lambda name: broken if name == "interrupt_items" else query(name))


def outdated_tokens_may_write(patch: pytest.MonkeyPatch) -> None:
    for module, name in ((work, "fence"), (work, "standing"), (work, "query"), (queries, "query"), (results, "query")):
        patch.setattr(module, name, getattr(module, name))  # so that it is put back
    sabotage.switch_off("fence")


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
