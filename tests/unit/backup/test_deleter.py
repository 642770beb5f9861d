"""What a delete does between its stores, which answer from a script."""

from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace

import pytest

from backstay.backup import deleter as deleter_module
from backstay.backup.backup import BackupPhase, DeleteState
from backstay.backup.deleter import DeleteService
from backstay.backup.store import DeleteStepResult, SelectionMeasure, UnbackedDeleteStepResult
from backstay.errors import ConversationNotFound, DeleteBlocked, EmptySelection, PlanOutdated
from backstay.library.deletion import DeletePlan, Obstacle, ObstacleKind
from backstay.library.selection import Selection
from backstay.remedy import Remedy

_ALL = Selection(everything=True)
_RETENTION = timedelta(days=7)
_MEASURE = SelectionMeasure(3, 6, 1_000, "digest", ())
_PLAN = DeletePlan(_ALL, 100, 200, 1_400, "digest", (), ())


@dataclass(frozen=True)
class _Backup:
    """The properties of a backup that a delete reads."""

    deletion: DeleteState | None = DeleteState.DELETING
    deleted: int = 0
    changed: int = 0
    gone: int = 0
    id: str = "backup-1-a"
    file_bytes: int = 10
    conversations: int = 100

    @property
    def is_delete_unfinished(self):
        return self.deletion is DeleteState.DELETING


class _Library:
    """All that a delete uses. It records what was done, and its deletes take steps from a script."""

    def __init__(self, clock):
        self.clock = clock
        self.done = []
        self.limits = []
        self.measured = _MEASURE
        self.missing_ids = []
        self.backup_record = _Backup()
        self.steps = []
        self.outcomes = []

    def _next_step(self, limit):
        self.limits.append(limit)
        seconds, result = self.steps.pop(0)
        self.clock.seconds += seconds
        return result

    async def missing(self, owner, ids, *, limit):
        self.done.append("missing")
        return self.missing_ids[:limit]

    async def count(self, owner, selection):
        return self.measured.conversations

    async def measure(self, owner, selection, *, sample):
        return self.measured

    async def backup(self, owner, backup_id):
        return self.backup_record

    async def check_restorable(self):
        self.done.append("check")

    async def verify(self, backup_id, *, on_progress):
        self.done.append("verify")

    async def write(self, selection, **options):
        self.done.append("write")
        self.options = options
        return self.backup_record

    async def clean_daily(self):
        self.done.append("clean")

    async def for_backup(self, backup):
        return SimpleNamespace(has=lambda backup_id, *, size: True)

    async def newest_key(self):
        return 1_000

    async def delete_step(self, backup, *, limit, is_file_complete):
        return self._next_step(limit)

    async def delete_without_backup(self, owner, selection, *, after, last, limit):
        self.done.append(after)
        return self._next_step(limit)

    async def delete_outcomes(self, backup, *, limit):
        return self.outcomes

    async def erase(self):
        self.done.append("erase")
        return True


@pytest.fixture
def clock(monkeypatch):
    """Return a monotonic clock that only the scripted steps move, and note the breaks between them."""
    now = SimpleNamespace(seconds=500.0, breaks=[])

    async def take_break(seconds):
        now.breaks.append(round(seconds, 6))

    monkeypatch.setattr(deleter_module, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    monkeypatch.setattr(deleter_module, "asyncio", SimpleNamespace(sleep=take_break))
    return now


@pytest.fixture
def library(clock):
    return _Library(clock)


@pytest.fixture
def deletes(library):
    stores = SimpleNamespace(records=library, creation=library, deletes=library)
    services = dict.fromkeys(("conversations", "writer", "reader", "folders", "cleaner"), library)
    return DeleteService(stores=stores, owner="local", retention=_RETENTION, **services)


def _step(deleted=0, *, seconds=0.03, network_seconds=0.0, is_last=False):
    """Return the seconds and the result of a step."""
    return seconds, DeleteStepResult(_Backup(deleted=deleted), is_last, network_seconds)


def _unbacked_step(reached_key, deleted=1, kept_by_trigger=0, *, seconds=0.03, network_seconds=0.0):
    """Return the seconds and the result of a step of a delete without a backup."""
    return seconds, UnbackedDeleteStepResult(deleted, kept_by_trigger, reached_key, network_seconds)


# -- plans -------------------------------------------------------------------------------------------


async def test_plan_says_what_would_be_deleted(deletes):
    """A plan takes over what was measured."""
    plan = await deletes.plan(_ALL)

    assert (plan.conversations, plan.turns, plan.digest, plan.missing) == (3, 6, "digest", ())


@pytest.mark.parametrize("method", ["plan", "count"])
async def test_selection_without_a_conversation_is_refused(deletes, library, method):
    """A selection that matches nothing cannot be planned or counted."""
    library.measured = SelectionMeasure(0, 0, 0, "digest", ())

    with pytest.raises(EmptySelection):
        await getattr(deletes, method)(_ALL)


async def test_obstacle_forbids_a_plan(deletes, library):
    """Rows of other tables that a delete may not touch prevent its plan."""
    obstacle = Obstacle("tags", "tags.conversation_id", 1, ObstacleKind.FORBIDS)
    library.measured = SelectionMeasure(3, 6, 0, "digest", (), obstacles=[obstacle])

    with pytest.raises(DeleteBlocked, match="1 row of tags"):
        await deletes.plan(_ALL)


@pytest.mark.parametrize("method", ["plan", "count"])
@pytest.mark.parametrize(
    ("missing", "message"),
    [(["a"], "Conversation 'a' not found"), (["a", "b"], "Conversations 'a', 'b' not found")],
)
async def test_selected_id_that_does_not_exist_is_refused(deletes, library, method, missing, message):
    """A selection by ids fails with the ids that do not exist."""
    library.missing_ids = missing

    with pytest.raises(ConversationNotFound, match=message) as failed:
        await getattr(deletes, method)(Selection(ids=("a", "b", "c")))
    assert failed.value.remedy is Remedy.IGNORE_MISSING


async def test_missing_ids_may_be_ignored(deletes, library):
    """With `ignore_missing` the ids that do not exist are part of the plan."""
    library.missing_ids = ["a"]

    assert (await deletes.plan(Selection(ids=("a", "b")), ignore_missing=True)).missing == ["a"]
    assert await deletes.count(Selection(ids=("a", "b")), ignore_missing=True) == 3


async def test_selected_ids_that_exist_are_counted(deletes, library):
    """A selection by ids that all exist is counted after a look for missing ones."""
    assert await deletes.count(Selection(ids=("a", "b", "c"))) == 3
    assert library.done == ["missing"]


async def test_selection_without_ids_misses_none(deletes, library):
    """Only ids can be missing, so another selection does not look for them."""
    assert await deletes.count(_ALL) == 3
    assert library.done == []


# -- deletes with a backup -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason", "retention"),
    [({}, "bulk_delete", _RETENTION), ({"reason": "why", "retention": 2 * _RETENTION}, "why", 2 * _RETENTION)],
)
async def test_conversations_are_backed_up_before_they_are_deleted(deletes, library, options, reason, retention):
    """A delete writes its backup first, and cleans up after it."""
    library.steps = [_step(100, is_last=True)]

    result = await deletes.delete(_PLAN, **options)

    assert library.done == ["write", "clean"]
    assert (library.options["reason"], library.options["retention"]) == (reason, retention)
    assert (library.options["expected"], library.options["plan_digest"]) == (100, "digest")
    assert (result.backup_id, result.deleted) == ("backup-1-a", 100)


async def test_each_step_is_as_large_as_the_write_lock_allows(deletes, library, clock):
    """A slow step halves the next one, a fast one doubles it, and what the network took does not count."""
    library.steps = [
        *[_step(seconds=seconds) for seconds in (0.01, 0.03, 0.05, 0.01)],
        _step(seconds=1.01, network_seconds=1.0),
        _step(seconds=0.0, is_last=True),
    ]

    await deletes.delete(_PLAN)

    assert library.limits == [16, 32, 32, 16, 32, 64]
    assert clock.breaks == [0.01, 0.03, 0.05, 0.01, 0.01]


@pytest.mark.parametrize(("seconds", "limit"), [(9.0, 1), (0.001, 2_000)])
async def test_size_of_a_step_is_bounded(deletes, library, clock, seconds, limit):
    """However slow or fast the steps are, each deletes at least one conversation and at most 2,000."""
    library.steps = [*[_step(seconds=seconds)] * 10, _step(is_last=True)]

    await deletes.delete(_PLAN)

    assert library.limits[-1] == limit
    assert max(clock.breaks) <= 0.05


async def test_each_step_is_reported(deletes, library):
    """The progress of a delete counts all conversations that need no more work, whatever became of them."""
    reports = []
    step = DeleteStepResult(_Backup(deleted=90, changed=6, gone=4), is_last=True, network_seconds=0.0)
    library.steps = [(0.03, step)]

    await deletes.delete(_PLAN, on_progress=reports.append)

    assert [(report.phase, report.conversations, report.total) for report in reports] == [
        (BackupPhase.DELETING, 100, 100)
    ]


async def test_result_names_what_was_not_deleted(deletes, library):
    """The ids of changed and of missing conversations are told apart, and only the first ten of each are named."""
    library.steps = [_step(is_last=True)]
    library.outcomes = [(f"{outcome}{number}", outcome) for number in range(12) for outcome in ("changed", "gone")]

    result = await deletes.delete(_PLAN)

    assert result.changed_ids == [f"changed{number}" for number in range(10)]
    assert result.gone_ids == [f"gone{number}" for number in range(10)]


async def test_interrupted_delete_is_resumed_after_a_verification(deletes, library):
    """The rest is deleted only after the backup was found restorable and intact."""
    library.steps = [_step(100, is_last=True)]

    result = await deletes.resume("backup-1-a")

    assert library.done == ["check", "verify"]
    assert (result.deleted, result.was_finished) == (100, False)


async def test_finished_delete_is_not_resumed(deletes, library):
    """Resuming a finished delete reads no file, takes no step, and says what the delete did."""
    library.backup_record = _Backup(DeleteState.DELETED, deleted=100)

    result = await deletes.resume("backup-1-a")

    assert library.done == library.limits == []
    assert (result.deleted, result.was_finished) == (100, True)


# -- deletes without a backup --------------------------------------------------------------------------


async def test_delete_without_a_backup_goes_through_all_keys(deletes, library, clock):
    """Each step begins after the last key of the one before, and the text is erased at the end."""
    library.steps = [
        _unbacked_step(40, 38, 2, seconds=0.01),
        _unbacked_step(70, 30, seconds=2.05, network_seconds=2.0),
        _unbacked_step(None, 20),
    ]

    result = await deletes.delete(_PLAN, backup=False)

    assert library.done == [0, 40, 70, "erase"]
    assert library.limits == [16, 32, 16]
    assert clock.breaks == [0.01, 0.05, 0.03]
    assert (result.backup_id, result.deleted, result.changed, result.gone) == (None, 88, 2, 10)
    assert result.is_erased


async def test_outdated_plan_deletes_nothing_without_a_backup(deletes, library):
    """A plan is refused if its selection holds other conversations now."""
    library.measured = SelectionMeasure(3, 6, 1_000, "another", ())

    with pytest.raises(PlanOutdated):
        await deletes.delete(_PLAN, backup=False)
    assert library.done == library.limits == []
