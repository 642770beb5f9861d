"""The machine's clock is set forward or back by an hour while workers run."""

import ast
from pathlib import Path

import apsw
import pytest

import backstay
from durability.faults._clock_victim import move_clock
from support.harness.waiting import until

pytestmark = pytest.mark.promise("B4", "B5")

_HOUR = 3_600
_WALL_CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}


@pytest.mark.parametrize("seconds", [+_HOUR, -_HOUR])
def test_a_jump_changes_nothing(scene, seconds):
    """A clock jump reclaims no lease, interrupts and repeats no call, and delays no waiting item."""
    scene.items, scene.concurrency = 120, 4
    workers = _two_workers_with_an_item_that_waits(scene)

    move_clock(scene.ledger, seconds)
    codes = [scene.finish(worker) for worker in workers]

    assert codes == [0, 0], scene.errors()
    assert "lease_reclaimed" not in scene.errors()
    assert "lease_lost" not in scene.errors()
    assert len(scene.witness().calls) == scene.items + 2, "the one item that timed out was called three times"
    assert scene.broken(may_fail=frozenset({"i5"})) == []


def test_a_wait_without_a_bound(scene):
    """The control: without a bound on its due time, a waiting item delays the job by an hour."""
    scene.items, scene.concurrency = 20, 4
    workers = _two_workers_with_an_item_that_waits(scene, without="bound")

    move_clock(scene.ledger, -_HOUR)
    left = {"completed": scene.items - 1, "pending": 1}
    until(lambda: _states(scene) == left)
    beats = _beats(scene)
    until(lambda: _beats(scene) >= beats + 4 or _states(scene) != left)

    assert _states(scene) == left
    assert [worker.poll() for worker in workers] == [None, None]


def test_only_the_clock_reads_the_time_of_day():
    """No code but the clock reads the time of day, so leases, deadlines and rates cannot depend on it."""
    root = Path(backstay.__file__).parent

    calls = {
        f"{path.relative_to(root)}: {call}"
        for path in root.rglob("*.py")
        for call in _wall_clock_calls(ast.parse(path.read_text()))
    }

    # The others only make a unique name and a unique id.
    assert calls == {
        "clock.py: datetime.now",
        "storage/sqlite/schema_migration.py: time.time_ns",
        "library/ids.py: time.time_ns",
    }


def _two_workers_with_an_item_that_waits(scene, **options):
    move_clock(scene.ledger, 0)
    workers = [
        scene.start(
            program="durability.faults._clock_victim", seconds=0.1, lease=5, doing="hang@5", timeout=1, **options
        )
        for _ in range(2)
    ]
    until(lambda: scene.database.exists() and _waiting(scene) == [("i5", 1)])
    return workers


def _waiting(scene):
    return _sql(scene, "SELECT id, tries FROM items WHERE state = 'pending' AND tries > 0")


def _beats(scene):
    """Return how many heartbeats both workers have sent; they look for work more often."""
    return sum(beat for (beat,) in _sql(scene, "SELECT beat FROM workers"))


def _states(scene):
    return dict(_sql(scene, "SELECT state, count(*) FROM items GROUP BY state"))


def _sql(scene, statement):
    connection = apsw.Connection(str(scene.database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.set_busy_timeout(5_000)
        return connection.execute(statement).fetchall()
    except apsw.SQLError:
        return []  # its tables do not exist yet
    finally:
        connection.close()


def _wall_clock_calls(tree: ast.AST):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _WALL_CLOCKS:
            yield ast.unparse(node.func)
