"""The states that are rebuilt after a power cut are possible ones; else the tests would prove too much, or nothing."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.faults.power_cut import SECTOR, Disk
from support.faults.recorded_disk import Created, Deleted, FolderSynced, Synced, Truncated, Written
from support.harness.sampling import FULL

_NAMES = ("a", "b")
_ACTIONS = st.tuples(
    st.sampled_from(("write", "write", "write", "write", "sync", "truncate", "delete", "folder")),
    st.sampled_from(_NAMES),
    st.integers(0, 4 * SECTOR),
    st.integers(1, 3 * SECTOR),
)


class _Versions:
    """The possible contents of each sector of each file on disk: what it held at its last sync or at any time since."""

    def __init__(self) -> None:
        self.disk = Disk()
        self.names: dict[str, int] = {}
        self.may_stand_for: dict[str, set[int | None]] = {name: {None} for name in _NAMES}
        self.content: dict[int, bytearray] = {}
        self.versions: dict[int, list[bytes]] = {}
        self.ever: list[tuple[int, bytes]] = []
        self._writes = 0

    def act(self, action: str, name: str, offset: int, size: int) -> None:
        if action == "folder":
            self.disk.follow(FolderSynced())
            self.may_stand_for = {known: {self.names.get(known)} for known in _NAMES}
            return
        if name not in self.names:
            file = self.names[name] = len(self.content) + 1
            self.content[file], self.versions[file] = bytearray(), [b""]
            self.may_stand_for[name].add(file)
            self.disk.follow(Created(name, file))
        file = self.names[name]
        content = self.content[file]
        match action:
            case "write":
                self._writes += 1
                data = bytes([1 + self._writes % 120]) * size
                content.extend(bytes(max(0, offset - len(content))))
                content[offset : offset + size] = data
                self.disk.follow(Written(file, offset, data))
            case "truncate":
                del content[offset:]
                # Its new length may be on disk before its new bytes.
                self.versions[file] += [version[:offset] for version in self.versions[file]]
                self.disk.follow(Truncated(file, min(offset, len(content))))
            case "sync":
                self.versions[file] = []
                self.disk.follow(Synced(file))
            case "delete":
                del self.names[name]
                self.may_stand_for[name].add(None)
                self.disk.follow(Deleted(name))
        self.versions[file].append(bytes(content))
        self.ever.append((file, bytes(content)))

    def may_be(self, name: str, data: bytes) -> bool:
        return any(file is not None and self._may_hold(file, data) for file in self.may_stand_for[name])

    def _may_hold(self, file: int, data: bytes) -> bool:
        if len(data) > max(len(version) for version in self.versions[file]):
            return False
        return all(self._may_be_there(file, start, data) for start in range(0, len(data), SECTOR))

    def _may_be_there(self, file: int, start: int, data: bytes) -> bool:
        sector = data[start : start + SECTOR]
        gone = [held[start : start + SECTOR] for number, held in self.ever if number != file]
        for version in self.versions[file]:
            known = version[start : start + SECTOR]
            rest = sector[len(known) :]
            if sector[: len(known)] != known:
                continue
            if not rest.strip(b"\x00\xa5") or any(rest.rstrip(b"\xa5") in held for held in gone):
                return True
        return False


@pytest.mark.sweep
@settings(derandomize=True, max_examples=2_000 if FULL else 100, deadline=None, database=None)
@given(st.lists(_ACTIONS, max_size=30), st.integers(0, 1_000))
def test_each_sector_is_as_it_was_at_some_moment_since_its_sync(actions, seed):
    """Each rebuilt sector and each name holds what it held at some moment since its last sync."""
    world = _Versions()
    for action in actions:
        world.act(*action)

    for how, contents in world.disk.possible(random.Random(seed)):
        for name in _NAMES:
            if name in contents:
                assert world.may_be(name, contents[name]), how
            else:
                assert None in world.may_stand_for[name], how


def test_a_sector_keeps_the_order_of_its_writes():
    """The later of two writes to one sector is never on disk without the earlier."""
    disk = Disk()
    for event in (Created("a", 1), FolderSynced(), Written(1, 0, b"x" * 24), Written(1, 24, b"y" * 24)):
        disk.follow(event)

    possible = {contents["a"] for seed in range(50) for _, contents in disk.possible(random.Random(seed))}

    assert {data.strip(b"\0\xa5") for data in possible} == {b"", b"x" * 24, b"x" * 24 + b"y" * 24}


def test_what_was_synced_leaves_no_choice():
    """The sync of a file and its folder leaves only one possible state."""
    disk = Disk()
    for event in (Created("a", 1), Written(1, 0, b"x" * 2_000), Synced(1), FolderSynced()):
        disk.follow(event)

    assert [contents for _, contents in disk.possible(random.Random(0))] == [{"a": b"x" * 2_000}] * 2


def test_a_deletion_that_was_not_synced_may_be_undone():
    """A deleted file may be back if its folder was not synced, as after SQLite deleted its log."""
    disk = Disk()
    for event in (Created("a", 1), Written(1, 0, b"x"), Synced(1), FolderSynced(), Deleted("a")):
        disk.follow(event)

    possible = [contents for seed in range(20) for _, contents in disk.possible(random.Random(seed))]

    assert {} in possible
    assert {"a": b"x"} in possible
