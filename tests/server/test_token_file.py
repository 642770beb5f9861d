"""The file of the local token: one address for all servers of a database, and for this user only."""

import os
import re
import stat
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from backstay.errors import OutputUnwritable, SettingsError
from backstay.remedy import Remedy
from backstay.server.auth.token_file import TokenFile
from backstay.settings import Settings
from support.servers.api import bearer, served

_USER = 12_345
_POSTGRES = "postgresql://ann:{password}@db.example/app"


@pytest.fixture
def file(tmp_path):
    """The token file of a database that does not exist yet."""
    return TokenFile(Settings(here=tmp_path), {})


@pytest.fixture
def users_file():
    """The token file of a user for whom permissions count, unlike for root."""
    with tempfile.TemporaryDirectory() as above:
        if os.geteuid() == 0:
            os.chown(above, _USER, _USER)
            os.seteuid(_USER)
        try:
            yield TokenFile(Settings(here=Path(above)), {})
        finally:
            if os.getuid() == 0:
                os.seteuid(0)


def test_a_token_is_kept_next_to_the_database(file, tmp_path):
    """The token is created once, in a file that only its user can read, out of reach of repositories."""
    token = file.load()

    assert file.path == tmp_path / ".backstay" / "backstay.token"
    assert (file.load(), stat.S_IMODE(file.path.stat().st_mode)) == (token, 0o600)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token)
    assert (tmp_path / ".backstay" / ".gitignore").read_text() == "*\n"
    assert file.reason_to_replace() is None


def test_a_token_is_private_whatever_the_umask(file):
    """The file is private from its creation, also under a umask that allows everything."""
    before = os.umask(0)
    try:
        file.load()
    finally:
        os.umask(before)

    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_a_database_on_a_server_keeps_it_in_the_state_folder(tmp_path):
    """The state folder has one token per server, database and schema, whatever the password."""

    def path(password="x", schema="backstay", **environ):
        settings = Settings(
            database_url=_POSTGRES.format(password=password), database_schema=schema, here=tmp_path / "project"
        )
        return TokenFile(settings, environ or {"HOME": str(tmp_path)}).path

    assert path().parent == tmp_path / ".local" / "state" / "backstay"
    assert path(XDG_STATE_HOME=str(tmp_path / "state")).parent == tmp_path / "state" / "backstay"
    assert path() == path(password="y") != path(schema="other")
    with pytest.raises(SettingsError) as caught:
        path(XDG_STATE_HOME="relative")
    assert "set XDG_STATE_HOME to a folder" in caught.value.message


def test_servers_that_start_at_once_share_it(file, tmp_path):
    """Of many servers that start at the same time, all get the same token."""
    barrier = threading.Barrier(8)

    def load(_):
        barrier.wait()
        return TokenFile(Settings(here=tmp_path), {}).load()

    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(load, range(8)))

    assert tokens == {file.load()}


def test_a_new_token_replaces_the_old_one(file):
    """A renewed token differs, and later servers use it."""
    before = file.load()
    after = file.load(renew=True)

    assert before != after == file.load()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_token_that_others_can_read_is_replaced(file, mode, caplog):
    """A token that other users could read is replaced, and the log says why but not which."""
    before = file.load()
    file.path.chmod(mode)
    reason = file.reason_to_replace()
    after = file.load()

    assert reason == "other users can read it"
    assert before != after
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    (record,) = [record for record in caplog.records if record.message == "token_replaced"]
    assert before not in f"{record.__dict__}"


@pytest.mark.parametrize("content", [b"short\n", b"x" * 43, b"\xff" * 44, b"x" * 5_000])
def test_a_file_without_a_token_is_replaced(file, content):
    """A file with anything but a token gets a new one; an interrupted start leaves an empty file, which is filled."""
    file.load()
    file.path.write_bytes(content)
    assert file.reason_to_replace() == "it holds no token"
    after = file.load()
    file.path.write_bytes(b"")
    filled = file.load()

    assert len(after) == len(filled) == 43
    assert filled == file.load()


def test_a_link_is_not_followed(file, tmp_path):
    """A link in place of the file is refused, and the remedy replaces it without touching its target."""
    target = tmp_path / "target"
    target.write_text("mine")
    file.path.parent.mkdir()
    file.path.symlink_to(target)

    with pytest.raises(SettingsError, match="it is a link") as caught:
        file.load()
    file.load(renew=True)

    assert caught.value.remedy is Remedy.RENEW_TOKEN
    assert (target.read_text(), file.path.is_symlink()) == ("mine", False)


def test_a_folder_in_its_place_is_named(file):
    """A folder in place of the file is refused, and the message says to remove it."""
    file.path.mkdir(parents=True)

    with pytest.raises(SettingsError, match="remove it") as caught:
        file.load()
    file.path.rmdir()

    assert caught.value.remedy is None
    assert file.load()


def test_a_file_of_another_user_is_refused(file, monkeypatch):
    """A file that another user has put there is refused, even with a good token."""
    file.load()
    monkeypatch.setattr("backstay.server.auth.token_file.trusted_users", lambda _: frozenset())

    with pytest.raises(SettingsError, match="another user") as caught:
        file.load()

    assert caught.value.remedy is Remedy.RENEW_TOKEN


def test_an_unreadable_file_is_replaced_by_the_remedy(users_file):
    """An unreadable file is refused in one line, and its remedy works."""
    before = users_file.load()
    users_file.path.chmod(0)

    with pytest.raises(SettingsError, match="Permission denied") as caught:
        users_file.load()

    assert caught.value.remedy is Remedy.RENEW_TOKEN
    assert users_file.load(renew=True) != before


def test_a_read_only_folder_is_named(users_file):
    """In a read-only folder a new token is refused in one line, and a token that is there is used."""
    folder = users_file.path.parent
    folder.mkdir(mode=0o500)
    with pytest.raises(OutputUnwritable, match="cannot be written: Permission denied") as caught:
        users_file.load()
    folder.chmod(0o700)
    token = users_file.load()
    folder.chmod(0o500)

    assert caught.value.remedy is Remedy.CHANGE_PERMISSIONS
    assert users_file.load() == token


def test_a_restarted_server_has_the_same_address(tmp_path):
    """A server killed and started again signs in the same token and cookie, and its log never has the token."""
    with served(tmp_path) as first, served(tmp_path) as second:
        assert first.token == second.token
        with httpx.Client(base_url=first.url) as browser:
            browser.get("/", params={"token": first.token})
            first.process.kill()
            first.process.wait()
            with served(tmp_path, port=first.port) as again:
                assert (again.url, again.token) == (first.url, first.token)
                assert browser.get("/batches").status_code == 200

    assert first.token not in first.log.read_text()


def test_a_new_token_ends_old_sessions(tmp_path):
    """After `serve --new-token` neither the old token nor its cookie is valid."""
    with served(tmp_path) as first, httpx.Client(base_url=first.url) as browser:
        browser.get("/", params={"token": first.token})
        first.stop()
        with served(tmp_path, "", "--new-token", port=first.port) as again:
            statuses = [
                browser.get("/batches").status_code,
                httpx.get(f"{again.url}/api/batches", headers=bearer(first.token)).status_code,
                again.client.get("/api/batches").status_code,
            ]

    assert statuses == [401, 401, 200]
