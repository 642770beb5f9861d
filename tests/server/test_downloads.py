"""Downloads: complete or visibly broken; clients that vanish, stall or send odd ranges leave nothing behind."""

import asyncio
import hashlib
import json
import socket
import time

import httpx
import pytest
import zstandard

from backstay.errors import BackupDamaged
from backstay.server.backup_download import ByteRange, parse_range_header
from backstay.server.problems import Problem
from support.harness.sampling import sample
from support.servers.api import served


async def _backup(api, count=3):
    ids = await api.made(count)
    return (await api.ann.post("/api/backup/create", json={"conversationIds": ids})).json()


async def test_the_two_addresses_of_the_legacy_library(api):
    """The paths, fields and file of a backup are those that apps of the legacy library expect."""
    ids = await api.made(2)

    created = await api.ann.post("/api/backup/create", json={"conversationIds": ids, "reason": "bulk_delete"})
    backup_id = created.json()["backupId"]
    downloaded = await api.ann.get(f"/api/backup/download/{backup_id}")

    assert created.status_code == 201
    assert list(created.json()) == ["backupId", "filePath", "expiresAt", "conversationCount"]
    assert created.json()["filePath"] == f"/backups/{backup_id}.json"
    assert created.json()["conversationCount"] == 2
    assert downloaded.headers["content-disposition"] == f'attachment; filename="{backup_id}.json"'
    file = downloaded.json()
    assert (file["version"], file["backupReason"]) == ("1.0", "bulk_delete")
    assert [row["id"] for row in file["conversations"]] == ids
    assert file["conversations"][0]["conversation_turns"][0]["sequence"] == 1


async def test_a_backup_of_unknown_ids_is_refused(api):
    """A backup of unknown ids gets 404 with these ids, and nothing is written."""
    (known,) = await api.made(1)

    answer = await api.ann.post("/api/backup/create", json={"conversationIds": [known, "none-1", "none-2"]})

    assert answer.status_code == 404
    assert answer.json()["error"]["details"] == {"conversationIds": ["none-1", "none-2"]}
    assert (await api.ann.get("/api/backups", params={"every": "true"})).json()["backups"] == []


async def test_the_stored_file_is_the_same(api):
    """The stored file has its size and a tag, and decompressed it equals the JSON download."""
    backup_id = (await _backup(api))["backupId"]
    address = f"/api/backup/download/{backup_id}"

    stored = await api.ann.get(address, params={"format": "zst"})
    plain = await api.ann.get(address)

    assert int(stored.headers["content-length"]) == len(stored.content)
    assert stored.headers["etag"] == f'"{hashlib.sha256(stored.content).hexdigest()}"'
    assert zstandard.ZstdDecompressor().decompressobj().decompress(stored.content) == plain.content


@pytest.mark.parametrize(
    "range_header, expected",
    [
        (None, ByteRange(0, 100, is_partial=False)),
        ("bytes=0-0", ByteRange(0, 1, is_partial=True)),
        ("bytes=10-19", ByteRange(10, 10, is_partial=True)),
        ("bytes=90-", ByteRange(90, 10, is_partial=True)),
        ("bytes=90-500", ByteRange(90, 10, is_partial=True)),
        ("bytes=-5", ByteRange(95, 5, is_partial=True)),
        ("bytes=-500", ByteRange(0, 100, is_partial=True)),
    ],
)
def test_one_range_is_understood(range_header, expected):
    """A single range is parsed like RFC 9110 defines it."""
    assert parse_range_header(range_header, 100) == expected


@pytest.mark.parametrize(
    "range_header",
    ["bytes=100-", "bytes=5-2", "bytes=-0", "bytes=-", "bytes=0-1,3-4", "bytes=" + "0-1," * 500, "bytes=a-b",
     "items=0-1", "", "bytes=--5", "bytes=0-0x5", "bytes=" + "9" * 40 + "-", "bytes = 0-1"],
)  # fmt: skip
def test_odd_ranges_are_refused(range_header):
    """Invalid and multiple ranges get 416, because many ranges would multiply one file."""
    with pytest.raises(Problem) as caught:
        parse_range_header(range_header, 100)

    assert (caught.value.status_code, caught.value.headers) == (416, {"Content-Range": "bytes */100"})


async def test_parts_make_the_whole(api):
    """The ranges of a stored file add up to the whole file, and the JSON download offers no ranges."""
    backup_id = (await _backup(api))["backupId"]
    address = f"/api/backup/download/{backup_id}"
    whole = (await api.ann.get(address, params={"format": "zst"})).content

    ranges = []
    for start in range(0, len(whole), 100):
        answer = await api.ann.get(address, params={"format": "zst"}, headers={"Range": f"bytes={start}-{start + 99}"})
        assert answer.status_code == 206
        end = min(start + 99, len(whole) - 1)
        assert answer.headers["content-range"] == f"bytes {start}-{end}/{len(whole)}"
        ranges.append(answer.content)
    plain = await api.ann.get(address, headers={"Range": "bytes=0-1"})
    beyond = await api.ann.get(address, params={"format": "zst"}, headers={"Range": "bytes=999999999-"})

    assert b"".join(ranges) == whole
    assert (plain.status_code, len(plain.content) > 2) == (200, True)
    assert (beyond.status_code, beyond.json()["error"]["code"]) == (416, "range_not_satisfiable")


async def test_a_ticket_opens_one_download_once(api):
    """A ticket alone opens one download of its backup once."""
    backup_id = (await _backup(api))["backupId"]
    issued = await api.ann.post(f"/api/backups/{backup_id}/download-ticket")
    url = issued.json()["url"]
    other = url.replace(backup_id, "backup-1-aaaa")

    assert issued.status_code == 201
    assert (await api.anonymous.get(other)).status_code == 401
    assert (await api.anonymous.post(url)).status_code == 401
    first = await api.anonymous.get(url + "&format=zst")
    second = await api.anonymous.get(url)

    assert (first.status_code, second.status_code) == (200, 401)
    assert first.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("more", "status"), [("&fromat=zst", 422), ("&format=zip", 422), ("&ticket=" + "x" * 300, 422), ("", 429)]
)
async def test_a_request_that_is_refused_uses_no_ticket_up(api, more, status):
    """A ticket still works after a request with a wrong parameter or without a free slot was refused."""
    backup_id = (await _backup(api))["backupId"]
    url = (await api.ann.post(f"/api/backups/{backup_id}/download-ticket")).json()["url"]
    slots = api.state.settings.max_downloads if status == 429 else 0
    api.state.downloads._by_owner["another"] += slots
    refused = await api.anonymous.get(url + more)
    api.state.downloads._by_owner["another"] -= slots

    assert refused.status_code == status
    assert (await api.anonymous.get(url)).status_code == 200


async def test_a_ticket_is_invalid_elsewhere(api):
    """A ticket at any other address, with another method or with an invalid token gets 401."""
    backup_id = (await _backup(api))["backupId"]
    url = (await api.ann.post(f"/api/backups/{backup_id}/download-ticket")).json()["url"]
    query = url.partition("?")[2]

    answers = [
        await api.anonymous.get(f"/api/backups/{backup_id}?{query}"),
        await api.anonymous.get(f"/api/backup/download/{backup_id}/more?{query}"),
        await api.anonymous.delete(url),
        await api.anonymous.get(url, headers={"Authorization": "Bearer nonsense"}),
        await api.anonymous.get(f"/api/backup/download/{backup_id}?ticket="),
    ]

    assert [answer.status_code for answer in answers] == [401] * 5
    assert (await api.anonymous.get(url)).status_code == 200


async def test_of_many_with_one_ticket_one_gets_in(api):
    """Of many simultaneous requests with one ticket, exactly one succeeds."""
    backup_id = (await _backup(api))["backupId"]
    url = (await api.ann.post(f"/api/backups/{backup_id}/download-ticket")).json()["url"]

    statuses = [answer.status_code for answer in await asyncio.gather(*(api.anonymous.get(url) for _ in range(8)))]

    assert sorted(statuses) == [200] + [401] * 7


async def test_a_damaged_file_is_reported_before_the_download(api, settings):
    """The download of a damaged backup gets 409 and no content."""
    backup_id = (await _backup(api))["backupId"]
    (path,) = (settings.here / "backups").rglob(f"{backup_id}.json.zst")
    path.chmod(0o600)
    path.write_bytes(b"rubbish" + path.read_bytes()[7:])

    answer = await api.ann.get(f"/api/backup/download/{backup_id}")
    verified = await api.ann.post(f"/api/backups/{backup_id}/verify")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "backup_damaged")
    assert (verified.status_code, verified.json()["error"]["code"]) == (409, "backup_damaged")
    restored = await api.ann.post(f"/api/backups/{backup_id}/restore")
    backup = (await api.ann.get(f"/api/backups/{backup_id}")).json()
    assert (restored.status_code, restored.json()["error"]["code"]) == (409, "backup_unusable")
    assert restored.json()["error"]["message"].endswith("; replace its file with an intact copy, then have it verified")
    assert (backup["state"], backup["damagedAt"] is not None) == ("damaged", True)
    assert str(settings.here) not in answer.text + verified.text


# -- over the wire ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """A server with a backup that is larger than all buffers between server and client."""
    folder = tmp_path_factory.mktemp("big")
    with served(folder, "idle_seconds = 3.0\nmax_downloads = 40\n") as server:
        rows = [
            {"messages": [{"role": "user", "content": f"{n}"}, {"role": "assistant", "content": _noise(n)}]}
            for n in range(400)
        ]
        content = "\n".join(json.dumps(row) for row in rows).encode()
        server.client.post("/api/conversations/import", files={"file": ("rows.jsonl", content)}).raise_for_status()
        listed = server.client.get("/api/conversations", params={"limit": 200}).json()
        ids = [row["id"] for row in listed["conversations"]]
        more = server.client.get("/api/conversations", params={"limit": 200, "cursor": listed["nextCursor"]}).json()
        ids += [row["id"] for row in more["conversations"]]
        created = server.client.post("/api/backup/create", json={"conversationIds": ids})
        yield server, created.json()["backupId"], folder


def _noise(number):
    """Return 80 KB of incompressible text."""
    return b"".join(hashlib.sha512(f"{number} {n}".encode()).hexdigest().encode() for n in range(640)).decode()


def _unread_download(server, path, more=""):
    """Return a connection on which a request has been sent and nothing read."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.token}\r\n{more}\r\n"
    connection.sendall(head.encode())
    return connection


def _ended(server):
    """Return how many downloads have ended in any way."""
    return sum(line["route"].startswith("/api/backup/download/") for line in server.logged("request_finished"))


def _is_quiet(server, before):
    """Wait until no download runs and no more descriptors are open than before."""
    server.wait_for(lambda: b'backstay_transfers{kind="download"} 0.0' in server.client.get("/metrics").content)
    server.wait_for(lambda: server.descriptors() <= before + 2)


@pytest.mark.sweep
def test_clients_that_vanish_leave_nothing(big):
    """Clients that close or reset their connection during a download leave no descriptors or memory behind."""
    server, backup_id, _ = big
    path = f"/api/backup/download/{backup_id}"
    server.client.get(path)
    before, memory = server.descriptors(), server.megabytes()

    for number in range(len(sample(list(range(2_000)), 60))):
        connection = _unread_download(server, path + ("?format=zst" if number % 3 == 0 else ""))
        assert connection.recv(10).startswith(b"HTTP/1.1 2")
        if number % 2:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        connection.close()

    _is_quiet(server, before)
    assert server.megabytes() < memory + 60


def test_clients_that_stall_are_disconnected(big):
    """A client that stalls holds neither the file nor a slot for longer than the idle timeout."""
    server, backup_id, _ = big
    before, memory, ended = server.descriptors(), server.megabytes(), _ended(server)
    stalled = [_unread_download(server, f"/api/backup/download/{backup_id}") for _ in range(30)]

    server.wait_for(lambda: _ended(server) == ended + 30)
    _is_quiet(server, before + 30)  # the kernel keeps their connections a little longer

    assert server.megabytes() < memory + 150
    for connection in stalled:
        connection.close()


def test_so_many_downloads_and_no_more(big):
    """A download beyond the limit is refused, and later downloads succeed once slots are free."""
    server, backup_id, _ = big
    path = f"/api/backup/download/{backup_id}"
    stalled = [_unread_download(server, path) for _ in range(40)]
    server.wait_for(lambda: b'backstay_transfers{kind="download"} 40.0' in server.client.get("/metrics").content)

    assert server.client.get(path).status_code == 429

    for connection in stalled:
        connection.close()
    server.wait_for(lambda: server.client.get(path).status_code == 200)


def test_an_error_in_the_middle_breaks_the_connection(big):
    """An error during a download breaks the connection, so that the response never looks complete."""
    server, backup_id, folder = big
    (path,) = folder.rglob(f"{backup_id}.json.zst")
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes(len(whole) - middle))
    try:
        with pytest.raises(httpx.RemoteProtocolError):
            server.client.get(f"/api/backup/download/{backup_id}")
        assert server.logged("download_aborted")
        assert server.client.get(f"/api/backups/{backup_id}").json()["state"] == "damaged"
    finally:
        path.write_bytes(whole)
    assert server.client.post(f"/api/backups/{backup_id}/verify").json()["state"] == "verified"
    assert server.client.get(f"/api/backup/download/{backup_id}").status_code == 200


def test_a_backup_that_is_removed_meanwhile_is_downloaded_whole(big):
    """A backup that is removed during its download is still downloaded completely."""
    server, backup_id, _ = big
    ids = [row["id"] for row in server.client.get("/api/conversations", params={"limit": 200}).json()["conversations"]]
    other = server.client.post("/api/backup/create", json={"conversationIds": ids}).json()["backupId"]
    whole = server.client.get(f"/api/backup/download/{other}").content
    with server.client.stream("GET", f"/api/backup/download/{other}") as stream:
        blocks = stream.iter_bytes()
        read = next(blocks)

        assert server.client.delete(f"/api/backups/{other}").status_code == 200

        assert read + b"".join(blocks) == whole
    assert server.client.get(f"/api/backup/download/{other}").status_code == 409
    assert backup_id != other


def test_a_slow_client_gets_it_all(big):
    """A client that reads slowly but steadily gets the whole file."""
    server, backup_id, _ = big
    connection = _unread_download(server, f"/api/backup/download/{backup_id}?format=zst", "Range: bytes=0-99999\r\n")
    received = b""
    while len(received) < 100_000:
        received += connection.recv(20_000)
        time.sleep(0.01)  # a slow client

    head, _, body = received.partition(b"\r\n\r\n")
    while len(body) < 100_000:
        body += connection.recv(20_000)

    assert head.startswith(b"HTTP/1.1 206")
    assert len(body) == 100_000
    connection.close()


def test_damage_is_an_error_of_the_project():
    """Control: the error of a damaged file is an error of the project."""
    assert BackupDamaged("x").code == "backup_damaged"
