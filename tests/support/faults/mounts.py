"""File systems of a test's own, in a mount namespace of its own: nobody else sees them, and they go when it ends."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self


class Mounts:
    """Holds the namespace open while it is entered. `namespace` is the command that starts a program in a new one."""

    def __init__(self, namespace: Sequence[str]) -> None:
        self._namespace = namespace
        self._holder: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [*self._namespace, "sh", "-c", "echo there; exec cat"]
        self._holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"there\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._holder is not None
        self._holder.communicate()

    @property
    def inside(self) -> list[str]:
        """The command that takes a program inside."""
        user = ["--user", "--preserve-credentials"] if "--map-root-user" in self._namespace else []
        return ["nsenter", "--target", str(self._process), "--mount", *user]

    @property
    def root(self) -> Path:
        """Where files inside are seen from outside, once whoever wrote them has ended."""
        return Path(f"/proc/{self._process}/root")

    def run(self, *command: str) -> None:
        """Run a command inside."""
        subprocess.run([*self.inside, *command], check=True, capture_output=True)

    def bounded(self, folder: Path, size: str) -> None:
        """Mount an empty file system of this size (as `4m`) on a folder."""
        self.run("mount", "-t", "tmpfs", "-o", f"size={size}", "bounded", str(folder))

    def resize(self, folder: Path, size: str) -> None:
        # With source and type named, mount does not repeat the options of before, which only root may set.
        self.run("mount", "-t", "tmpfs", "-o", f"remount,size={size}", "bounded", str(folder))

    def read_only(self, folder: Path) -> None:
        """Let nothing in a folder be changed. Refused by the kernel while a file in it is open for writing."""
        self.run("mount", "--bind", str(folder), str(folder))
        self.run("mount", "-o", "remount,bind,ro", str(folder))

    @property
    def _process(self) -> int:
        assert self._holder is not None
        return self._holder.pid
