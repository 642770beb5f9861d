"""Faults at single system calls: strace counts a victim's calls on a file, and lets one fail or kill. strace counts per
thread. So `when=N` hits the first thread that makes its N-th such call and, if the fault is an error, every other
thread at its own N-th call, too."""

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

WRITING = (
    *("write", "pwrite64", "writev", "pwritev", "ftruncate", "fallocate"),
    *("fsync", "fdatasync", "sync_file_range"),
    *("rename", "renameat", "renameat2", "unlink", "unlinkat"),
)
"""Every system call by which a program changes a file, or makes sure of it."""

_LINE = re.compile(r"^(?P<thread>\d+) +(?P<name>\w+)\((?P<rest>.*)$")
_RESUMED = re.compile(r"^(?P<thread>\d+) +<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)$")
_PATH = re.compile(r'^(?:\d+<(?P<open>[^>]*)>|(?:AT_FDCWD(?:<[^>]*>)?, )?"(?P<named>[^"]*)")')
_RESULT = re.compile(r"\) += (?P<result>-?\d+|\?)(?P<how>.*)$")
_OFFSET = re.compile(r", (?P<length>\d+), (?P<offset>\d+)$")
_UNFINISHED = " <unfinished ...>"


@dataclass(frozen=True, slots=True)
class SystemCall:
    """System call of a log."""

    thread: int
    name: str
    path: Path
    succeeded: bool
    injected: bool
    offset: int | None
    """Where a pwrite64 wrote."""


def logging(log: Path) -> list[str]:
    """Return the command prefix that logs a victim's writing calls."""
    return [*_strace(log), "-e", "trace=" + ",".join(f"?{name}" for name in WRITING)]


def injecting(
    fault: str, name: str, number: str, path: Path | None, log: Path, *, also: Sequence[str] = ()
) -> list[str]:
    """Return the command under which the calls `number` (as `3`, or `3+` for all from there) on `path` suffer.

    `fault` is as `signal=SIGKILL` or `error=EIO`. Killed is before the call is carried out. The log shows the calls of
    that name, and those named in `also`, on that path. Without a path, calls on any file count.
    """
    only = [] if path is None else ["-P", str(path)]
    traced = ",".join([name, *also])
    # With --seccomp-bpf, strace 6.1 injects no signals into the main thread.
    strace = [word for word in _strace(log) if word != "--seccomp-bpf"] if fault.startswith("signal=") else _strace(log)
    return [*strace, *only, "-e", f"trace={traced}", "-e", f"inject={name}:{fault}:when={number}"]


def _strace(log: Path) -> list[str]:
    return ["strace", "-f", "-qq", "-y", "--seccomp-bpf", "-o", str(log)]


def refusal() -> str | None:
    """Return why the kernel does not let strace work here; None if it does."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*logging(Path(folder) / "log"), "true"]
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else tried.stderr.strip()


def read(log: Path) -> list[SystemCall]:
    """Return the calls of a log in the order in which they began."""
    begun: dict[int, tuple[int, str, str]] = {}
    calls: dict[int, SystemCall] = {}
    for number, line in enumerate(log.read_text(errors="replace").splitlines()):
        if (match := _LINE.match(line)) is not None:
            thread, rest = int(match["thread"]), match["rest"]
            if rest.endswith(_UNFINISHED):
                begun[thread] = (number, match["name"], rest.removesuffix(_UNFINISHED))
                continue
            calls[number] = _call(thread, match["name"], rest)
        elif (match := _RESUMED.match(line)) is not None and (thread := int(match["thread"])) in begun:
            start, name, rest = begun.pop(thread)
            calls[start] = _call(thread, name, rest + match["rest"])
    for thread, (number, name, rest) in begun.items():
        calls[number] = _call(thread, name, f"{rest}) = ?")
    return [calls[number] for number in sorted(calls)]


def _call(thread: int, name: str, text: str) -> SystemCall:
    result, path = _RESULT.search(text), _PATH.match(text)
    assert result is not None, text
    assert path is not None, text
    offset = _OFFSET.search(text[: result.start()]) if name == "pwrite64" else None
    return SystemCall(
        thread,
        name,
        Path(path["open"] or path["named"]),
        succeeded=result["result"] not in ("-1", "?"),
        injected="INJECTED" in result["how"],
        offset=None if offset is None else int(offset["offset"]),
    )


def struck(calls: Sequence[SystemCall]) -> list[int]:
    """Return the indexes of these calls that `when=1`, `when=2`, … hit first."""
    counts: Counter[int] = Counter()
    first: dict[int, int] = {}
    for index, call in enumerate(calls):
        counts[call.thread] += 1
        first.setdefault(counts[call.thread], index)
    return [first[number] for number in sorted(first)]


def by_target(calls: Iterable[SystemCall], folder: Path) -> dict[tuple[str, Path], list[SystemCall]]:
    """Group the calls on files in a folder, and on the folder, by name and path."""
    groups: dict[tuple[str, Path], list[SystemCall]] = {}
    for call in calls:
        if call.path == folder or folder in call.path.parents:
            groups.setdefault((call.name, call.path), []).append(call)
    return groups
