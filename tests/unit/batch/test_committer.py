"""Group commit, with a store that only records its calls."""

import pytest

from backstay.batch.committer import MAX_GROUP_VERDICTS, Committer
from backstay.batch.item import ItemState
from backstay.batch.job import JobState
from backstay.batch.progress import ItemCounts, TokenCounts
from backstay.batch.store import Claim, CommitReport, Lease
from backstay.errors import LeaseLost, OutcomeRefused, StorageError, StoreBusy
from support.data.conversations import claimed
from support.data.verdicts import completed

_LEASE = Lease("local", 1, "job", 7)
_REPORT = CommitReport([], JobState.RUNNING, ItemCounts(), TokenCounts(), next_due_seconds=None)


class _RecordingStore:
    """The one method of a WorkStore that a committer calls: it records each group, or raises a prepared error."""

    def __init__(self) -> None:
        self.groups = []
        self.claims = []
        self.refused = set()
        self.errors = []

    async def commit(self, lease, verdicts, claim):
        assert lease is _LEASE
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error
        if any(verdict.conversation is not None and verdict.claimed.position in self.refused for verdict in verdicts):
            raise OutcomeRefused("no")
        self.groups.append([verdict.claimed.position for verdict in verdicts])
        self.claims.append(claim)
        return _REPORT


@pytest.fixture
def store():
    return _RecordingStore()


@pytest.fixture
def heard():
    """Verdicts that were acknowledged."""
    return []


@pytest.fixture
def committer(store, heard):
    return Committer(store=store, lease=_LEASE, on_committed=heard.extend)


def _add(committer, count):
    for position in range(count):
        committer.add(completed(claimed(position)))


async def test_all_that_waits_shares_a_commit(committer, store, heard):
    """All waiting verdicts are written in one commit, together with the claim for the next items."""
    _add(committer, 5)

    report = await committer.commit(Claim(free_slots=3))

    assert report is _REPORT
    assert store.groups == [[0, 1, 2, 3, 4]]
    assert store.claims == [Claim(free_slots=3)]
    assert [verdict.claimed.position for verdict in heard] == [0, 1, 2, 3, 4]
    assert len(committer) == 0


async def test_nothing_waiting_is_a_claim_alone(committer, store, heard):
    """A commit without verdicts still claims items."""
    await committer.commit(Claim(free_slots=2))

    assert store.groups == [[]]
    assert store.claims == [Claim(free_slots=2)]
    assert heard == []


async def test_group_is_bounded(committer, store):
    """Verdicts beyond the size of a group wait for the next commit, in their order."""
    _add(committer, MAX_GROUP_VERDICTS + 3)

    await committer.commit(Claim())
    assert len(committer) == 3
    await committer.commit(Claim())

    assert store.groups == [
        list(range(MAX_GROUP_VERDICTS)),
        [MAX_GROUP_VERDICTS, MAX_GROUP_VERDICTS + 1, MAX_GROUP_VERDICTS + 2],
    ]


async def test_next_group_gathers_while_one_is_written(committer, store):
    """A verdict that arrives during a commit is written in the next one."""
    late = completed(claimed(9))
    commit = store.commit

    async def slow(*arguments):
        committer.add(late)
        return await commit(*arguments)

    store.commit = slow
    _add(committer, 2)

    await committer.commit(Claim())

    assert store.groups == [[0, 1]]
    assert len(committer) == 1


async def test_refused_outcome_fails_its_own_item(committer, store, heard):
    """After a refusal the group is written one by one: only the refused item fails, and the claim comes last."""
    _add(committer, 4)
    store.refused = {2}

    await committer.commit(Claim(free_slots=4))

    assert store.groups == [[0], [1], [2], [3], []]
    assert store.claims == [Claim(), Claim(), Claim(), Claim(), Claim(free_slots=4)]
    assert [(v.claimed.position, v.state, v.code) for v in heard] == [
        (0, ItemState.COMPLETED, None),
        (1, ItemState.COMPLETED, None),
        (2, ItemState.FAILED, "outcome_refused"),
        (3, ItemState.COMPLETED, None),
    ]


@pytest.mark.parametrize("error", [StorageError("no"), StoreBusy("locked"), LeaseLost("gone")], ids=lambda e: e.code)
async def test_verdicts_survive_an_error(committer, store, heard, error):
    """Verdicts that could not be written are not acknowledged, and are written by the next commit in their order."""
    _add(committer, 3)
    store.errors = [error]

    with pytest.raises(type(error)):
        await committer.commit(Claim())
    assert heard == []
    committer.add(completed(claimed(3)))
    await committer.commit(Claim())

    assert store.groups == [[0, 1, 2, 3]]


async def test_error_in_the_middle_of_a_replay_keeps_the_rest(committer, store, heard):
    """Verdicts written before an error in a replay are acknowledged and not written twice; the others wait."""
    _add(committer, 4)
    store.errors = [OutcomeRefused("no"), None, StoreBusy("locked")]

    with pytest.raises(StoreBusy):
        await committer.commit(Claim())
    assert [verdict.claimed.position for verdict in heard] == [0]
    await committer.commit(Claim())

    assert store.groups == [[0], [1, 2, 3]]
    assert [verdict.claimed.position for verdict in heard] == [0, 1, 2, 3]


async def test_error_at_the_end_of_a_replay_loses_nothing(committer, store, heard):
    """If the claim after a replay fails, all verdicts are written and acknowledged."""
    _add(committer, 2)
    store.errors = [OutcomeRefused("no"), None, None, LeaseLost("gone")]

    with pytest.raises(LeaseLost):
        await committer.commit(Claim(free_slots=1))

    assert [verdict.claimed.position for verdict in heard] == [0, 1]
    assert len(committer) == 0
