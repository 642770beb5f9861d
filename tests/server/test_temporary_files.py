"""Temporary files of a server: removed with the server, and recreated if a cleaner removed them."""

import shutil
import signal

import pytest

from support.servers.api import served


@pytest.fixture
def temporary(tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


def _served(tmp_path, name, temporary):
    folder = tmp_path / name
    folder.mkdir()
    return served(folder, TMPDIR=str(temporary))


def _keep(server):
    """Upload a file on a page; return the address of the next page."""
    answer = server.client.post("/batches/upload", files={"file": ("t.csv", b"topic\nx\n")})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def _files(temporary):
    return {path.name for path in temporary.rglob("*") if path.is_file()}


def test_a_folder_that_a_cleaner_removed_is_made_again(tmp_path, temporary):
    """Uploads continue after a cleaner removed the directory, and a page says that its file must be selected again."""
    with _served(tmp_path, "one", temporary) as server:
        page = _keep(server)
        assert server.client.get(page).status_code == 200
        for path in temporary.iterdir():
            shutil.rmtree(path)

        lost = server.client.get(page)
        form = {"jobId": "j", "processor": "scripted"}
        uploaded = server.client.post("/api/batches/upload", files={"file": ("t.csv", b"topic\nx\n")}, data=form)

        assert (lost.status_code, "choose it again" in lost.text) == (404, True)
        assert uploaded.status_code == 201, uploaded.text
        assert server.client.get(_keep(server)).status_code == 200


def test_files_of_a_server_that_was_killed_are_removed_by_the_next(tmp_path, temporary):
    """A server removes the files of killed servers, keeps those of running ones, and removes its own when it stops."""
    with _served(tmp_path, "alive", temporary) as alive:
        page = _keep(alive)
        files = _files(temporary)
        with _served(tmp_path, "killed", temporary) as killed:
            _keep(killed)
            assert len(_files(temporary)) == 2
            killed.stop(signal.SIGKILL)

        with _served(tmp_path, "next", temporary):
            assert _files(temporary) == files
            assert alive.client.get(page).status_code == 200
        alive.stop()

    assert list(temporary.iterdir()) == []
