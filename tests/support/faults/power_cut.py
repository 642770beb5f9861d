"""What a disk may hold after the power went: every state that the recorded events leave possible.

What is certain. The bytes of a file as they were at its last sync. The names of a folder as they were at its last sync;
the folder is synced by a deletion that asks for it, and by the first sync of a log or journal through the descriptor
that may have made it. SQLite asks for nothing more, and neither do we: a file that was synced under a name that was not
may be gone.

What is open. Whatever came after that, in any combination:

* A write goes to the disk by sectors of 512 bytes, each at once or not at all, each in its own time. So any set of the
  sectors may be there: all, none, the last ones without the first, one file's without another's, half of a write. Of
  several writes to one sector any may be the one that is there. A sector that is written in part keeps the rest of its
  bytes (SQLite calls this "powersafe overwrite", and counts on it).
* A file that grew may have its new length before it has its new bytes. What was not written reads as zeros, or, on a
  file system that journals nothing but its own structure, as what the blocks held before: here the bytes that a
  deleted file, an earlier log for instance, had in that place.
* Names come and go one by one, and each name may be at any step of its own way. Most file systems keep the order
  among names; some do not.
* A file that was cut off may still have its old length. Its structure changes in order, though: what was written
  behind a cut that is not there went to blocks that nothing refers to.

What is left out, because no disk in order does it: a synced byte that is lost, a sector that is half written, bytes in
a place that nobody wrote to, an older name or length after a newer one was seen to be on disk. The shared memory of
the log (`-shm`) is left out as well: whoever opens the database first empties it. So are the lock files of workers:
after a power cut they prove nothing, because the machine was started anew since.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from support.faults.recorded_disk import Created, Deleted, Event, FolderSynced, Synced, Truncated, Written

SECTOR = 512

Contents = dict[str, bytes]
"""The files of a folder by name."""


@dataclass(slots=True)
class _File:
    """One file: what of it is certain, what came since, and what a reader sees before the power goes."""

    synced: bytes = b""
    since: list[Written | Truncated] = field(default_factory=list)

    def sync(self) -> None:
        self.synced = _applied(self.synced, self.since)
        self.since = []


class Disk:
    """Follows the events, and says at any moment what would be left if the power went now."""

    def __init__(self) -> None:
        self._files: dict[int, _File] = {}
        self._names: dict[str, int] = {}
        self._synced_names: dict[str, int] = {}
        self._steps: dict[str, list[int | None]] = {}
        """What each name has stood for since the folder was synced; None where it was gone."""

    def follow(self, event: Event) -> None:
        match event:
            case Created(name, file):
                self._files[file] = _File()
                self._names[name] = file
                self._step(name, file)
            case Deleted(name):
                del self._names[name]
                self._step(name, None)
            case Written(file) | Truncated(file):
                self._files[file].since.append(event)
            case Synced(file):
                self._files[file].sync()
            case FolderSynced():
                self._synced_names = dict(self._names)
                self._steps.clear()

    def _step(self, name: str, file: int | None) -> None:
        self._steps.setdefault(name, [self._synced_names.get(name)]).append(file)

    def certain(self) -> Contents:
        """Nothing but what was synced."""
        return {name: self._files[file].synced for name, file in self._synced_names.items()}

    def latest(self) -> Contents:
        """Everything, as if the power had waited."""
        return {name: _applied(self._files[file].synced, self._files[file].since) for name, file in self._names.items()}

    def is_certain(self) -> bool:
        """Whether all that was done is on disk, so that a cut leaves no choice."""
        return not self._steps and not any(file.since for file in self._files.values())

    def possible(self, chance: random.Random) -> Iterator[tuple[str, Contents]]:
        """Yield what may be left, each with how it came about: the corners always, of the rest a draw."""
        yield "nothing but what was synced", self.certain()
        yield "everything", self.latest()
        if self.is_certain():
            return
        for keep in (0.1, 0.5, 0.9):
            keeps = _with_chance(chance, keep)
            yield f"sectors, each with a chance of {keep}", self._drawn(chance, keeps)
            stale = chance.random() < 0.5
            drawn = self._drawn(chance, keeps, grown=True, stale=stale)
            yield f"the same, grown, {'stale' if stale else 'zeros'} where nothing was written", drawn
        whole: dict[object, bool] = {}
        yield "whole writes, in any order", self._drawn(chance, lambda p: _toss(chance, whole, (p.file, p.number)))
        yield "the last write only", self._drawn(chance, lambda p: p.writes_left == 0)
        yield "the last write not", self._drawn(chance, lambda p: p.writes_left > 0)
        cut = chance.random()
        yield (
            "the last write torn, its end missing",
            self._drawn(chance, lambda p: p.writes_left > 0 or p.share_before < cut),
        )
        yield (
            "the last write torn, its beginning missing",
            self._drawn(chance, lambda p: p.writes_left > 0 or p.share_before >= cut),
        )
        files: dict[object, bool] = {}
        yield "some files whole, of the others nothing", self._drawn(chance, lambda p: _toss(chance, files, p.file))

    # -- within --------------------------------------------------------------------------------------------------------

    def _drawn(
        self, chance: random.Random, keeps: "Callable[[_Piece], bool]", *, grown: bool = False, stale: bool = False
    ) -> Contents:
        names = dict(self._synced_names)
        for name, steps in self._steps.items():
            file = chance.choice(steps)
            if file is None:
                names.pop(name, None)
            else:
                names[name] = file
        cuts = {file: chance.random() for file in names.values()}
        return {
            name: self._kept(file, keeps, cuts=cuts[file], grown=grown, stale=stale) for name, file in names.items()
        }

    def _kept(
        self,
        file: int,
        keeps: "Callable[[_Piece], bool]",
        *,
        cuts: float,
        grown: bool,
        stale: bool,
    ) -> bytes:
        """Return a file with those pieces of its un-synced writes that are kept.

        `cuts` says how large a share of the un-synced truncations, the earlier first, took place.
        """
        held, fill = self._files[file], self._what_was_there if stale else _zeros
        truncations = sum(isinstance(change, Truncated) for change in held.since)
        done = round(cuts * truncations)
        pieces = self._pieces(file, held.since, done)
        # The last of its kept writes decides what a sector holds: it goes to the disk as it is in memory then, with
        # what earlier writes had put into it.
        deciding = {piece.sector: piece.number for piece in pieces if keeps(piece)}
        memory, content, sectors = bytearray(held.synced), bytearray(held.synced), dict[int, bytes]()
        for number, change in enumerate(held.since):
            if isinstance(change, Written):
                _put(memory, change.offset, change.data)
                for sector in _sectors(change):
                    if deciding.get(sector) == number:
                        sectors[sector] = bytes(memory[sector * SECTOR : (sector + 1) * SECTOR])
            elif done > 0:
                done -= 1
                del memory[change.size :], content[change.size :]
                sectors = {n: data[: max(0, change.size - n * SECTOR)] for n, data in sectors.items()}
            else:
                memory[change.size :] = bytes(max(0, len(memory) - change.size))  # cut in memory, and not on disk
        for sector, data in sorted(sectors.items()):
            if data:
                _put(content, sector * SECTOR, data, fill)
        if grown and len(content) < len(memory):
            content.extend(fill(len(content), len(memory)))
        return bytes(content)

    def _pieces(self, file: int, changes: Sequence[Written | Truncated], truncated: int) -> "list[_Piece]":
        """Return the sectors of un-synced writes, but for what went behind a cut that did not take place."""
        pieces: list[_Piece] = []
        writes = sum(isinstance(change, Written) for change in changes)
        lost_behind = None
        for number, change in enumerate(changes):
            if isinstance(change, Truncated):
                truncated -= 1
                if truncated < 0:
                    lost_behind = change.size if lost_behind is None else min(change.size, lost_behind)
                continue
            writes -= 1
            sectors, end = _sectors(change), change.offset + len(change.data)
            for index, sector in enumerate(sectors):
                if lost_behind is None or min(end, (sector + 1) * SECTOR) <= lost_behind:
                    pieces.append(_Piece(file, number, sector, writes, index / len(sectors)))
        return pieces

    def _what_was_there(self, start: int, end: int) -> bytes:
        """Return what whole sectors that nobody wrote may hold: what a file that is gone had in that place."""
        first = min(end, -(-start // SECTOR) * SECTOR)
        last = max(first, end // SECTOR * SECTOR)
        gone = [held.synced for number, held in self._files.items() if number not in self._names.values()]
        remains = next((data[first:last] for data in reversed(gone) if len(data) > first), b"")
        return bytes(first - start) + remains + b"\xa5" * (last - first - len(remains)) + bytes(end - last)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of an un-synced write that lies in one sector."""

    file: int
    number: int
    """Place of its write among the un-synced changes of the file."""
    sector: int
    writes_left: int
    """Un-synced writes to the same file after this one."""
    share_before: float
    """How much of its write lies before it, from 0 to 1."""


def _with_chance(chance: random.Random, keep: float) -> Callable[[_Piece], bool]:
    return lambda _: chance.random() < keep


def _toss(chance: random.Random, tossed: dict[object, bool], key: object) -> bool:
    if key not in tossed:
        tossed[key] = chance.random() < 0.5
    return tossed[key]


def _sectors(write: Written) -> range:
    return range(write.offset // SECTOR, -(-(write.offset + len(write.data)) // SECTOR))


def _zeros(start: int, end: int) -> bytes:
    return bytes(end - start)


def _put(content: bytearray, start: int, data: bytes, fill: Callable[[int, int], bytes] = _zeros) -> None:
    if len(content) < start:
        content.extend(fill(len(content), start))
    content[start : start + len(data)] = data


def _applied(content: bytes, changes: Sequence[Written | Truncated]) -> bytes:
    result = bytearray(content)
    for change in changes:
        if isinstance(change, Truncated):
            del result[change.size :]
        else:
            _put(result, change.offset, change.data)
    return bytes(result)
