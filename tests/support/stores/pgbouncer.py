"""A real pooler before the server, as Supabase has one: two sessions for all, for each transaction another."""

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from support.harness.requirements import program
from support.stores import postgres

POOL = 2


def absent() -> str | None:
    """Say why there is none; None when there is one."""
    if (reason := postgres.absent()) is not None:
        return reason
    return None if shutil.which("pgbouncer") else "pgbouncer is not installed"


def pooled(url: str) -> str:
    """Return the URL of a database by way of the pooler."""
    address = urlsplit(url)
    server = f"{address.hostname}:{address.port or 5432}"
    port = _pooler(server, str(address.username), str(address.password))
    return urlunsplit(address._replace(netloc=f"{address.username}:{address.password}@127.0.0.1:{port}"))


@cache
def _pooler(server: str, user: str, password: str) -> int:
    """Start one for all tests of this run, and return its port."""
    folder = Path(tempfile.mkdtemp(prefix="backstay-pgbouncer-"))
    folder.chmod(0o755)
    host, _, behind = server.partition(":")
    port = postgres.free_port()
    (folder / "users.txt").write_text(f'"{user}" "{password}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"""[databases]
* = host={host} port={behind} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder / "users.txt"}
pool_mode = transaction
default_pool_size = {POOL}
max_client_conn = 500
server_idle_timeout = 5
server_login_retry = 1
"""
    )
    ids = postgres.unprivileged()
    who: dict[str, Any] = {"user": ids[0], "group": ids[1], "extra_groups": []} if ids else {}
    process = subprocess.Popen(
        [program("pgbouncer"), "--quiet", str(folder / "pgbouncer.ini")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **who,
    )

    def end() -> None:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    postgres.wait_until_there(f"postgresql://{user}:{password}@127.0.0.1:{port}/postgres")
    return port
