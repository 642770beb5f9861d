"""Machines of a test's own: each has a network, a name, a boot and temporary files that are nobody else's.

A machine reaches the server by a wire of its own, which ends at a proxy; nothing listens where others could reach it.
"""

import os
import secrets
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from support.faults.postgres_proxy import Proxy
from support.harness.requirements import program, refused

_NAME = "import socket, sys; socket.sethostname(sys.argv[1])"


class Host:
    """Machine that exists while it is entered."""

    def __init__(self, folder: Path, url: str, *, name: str) -> None:
        """Name it. `folder` is seen by all; what is written to its folder `tmp` only by this one."""
        program("ip")
        program("nsenter")
        self._unshare = program("unshare")
        self._folder = folder
        self._server = url
        self._name = name
        self._link = f"hf{secrets.token_hex(5)}"
        self._own = folder / f"host-{self._link}"
        self._holder: subprocess.Popen[bytes] | None = None
        self._proxy: Proxy | None = None

    @property
    def inside(self) -> list[str]:
        """Return the command prefix that starts a program there."""
        assert self._holder is not None
        kinds = ["--net", "--mount", "--uts"]
        return ["nsenter", "--target", str(self._holder.pid), *kinds, "env", f"TMPDIR={self._folder / 'tmp'}"]

    @property
    def url(self) -> str:
        """The URL of the server from there."""
        assert self._proxy is not None
        return self._proxy.url

    @property
    def proxy(self) -> Proxy:
        """The address of its end of the wire."""
        assert self._proxy is not None
        return self._proxy

    def __enter__(self) -> Self:
        command = [self._unshare, "--net", "--mount", "--uts", "sh", "-c", "echo there; exec cat"]
        self._holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"there\n":
            refused("namespaces of a network's own")
        try:
            self._lay_a_wire()
            self._be_somebody_else()
        except subprocess.CalledProcessError as error:
            self.__exit__(None, None, None)
            refused(f"a machine of its own: {error.stderr.decode().strip()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._proxy is not None:
            self._proxy.__exit__()
        assert self._holder is not None
        self._holder.communicate()
        with suppress(subprocess.CalledProcessError):
            _execute("ip", "link", "delete", self._link)

    def _lay_a_wire(self) -> None:
        assert self._holder is not None
        first, second = 64 + secrets.randbelow(64), secrets.randbelow(256)
        here, there = (f"100.{first}.{second}.{last}" for last in (1, 2))
        _execute(
            "ip", "link", "add", self._link, "type", "veth", "peer", "name", "wire", "netns", str(self._holder.pid)
        )
        _execute("ip", "address", "add", f"{here}/30", "dev", self._link)
        _execute("ip", "link", "set", self._link, "up")
        self._execute("ip", "address", "add", f"{there}/30", "dev", "wire")
        self._execute("ip", "link", "set", "wire", "up")
        self._proxy = Proxy(self._server, host=here)

    def _be_somebody_else(self) -> None:
        self._own.mkdir()
        (self._folder / "tmp").mkdir(exist_ok=True)
        for name, path in (("boot", "/proc/sys/kernel/random/boot_id"), ("machine", "/etc/machine-id")):
            (self._own / name).write_text(f"{secrets.token_hex(16)}\n")
            if Path(path).exists():
                self._execute("mount", "--bind", str(self._own / name), path)
        self._execute("mount", "--bind", str(self._own), str(self._folder / "tmp"))
        self._execute(sys.executable, "-c", _NAME, self._name)

    def _execute(self, *command: str) -> None:
        _execute(*self.inside, *command)


def _execute(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "LC_ALL": "C"})
