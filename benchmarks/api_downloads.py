"""How fast is the download of a backup, compared with a bare file response of the same bytes?"""

import contextlib
import http.client
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from api_server import Serving, library, serving
from measurement import measure, parse, print_heading, print_table, ratios, spread

QUESTION = "How fast is a backup downloaded?"

_JSON = "backup as JSON, decompressed on the way"
_STORED = "backup as it is stored (`?format=zst`)"
_BARE_JSON = "bare file response of the same JSON"
_BARE_STORED = "bare file response of the same stored file"

_BARE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route
async def file(request):
    return FileResponse(sys.argv[1] + "/" + request.path_params["name"])
app = Starlette(routes=[Route("/{name}", file)])
uvicorn.run(app, fd=int(sys.argv[2]), http="h11", log_level="critical")
"""


def main() -> None:
    options = parse(QUESTION, items=10_000, rounds=5)
    print_heading(QUESTION, "api_downloads.py", options)
    folder = options.folder / f"backstay-bench-downloads-{time.time_ns()}"
    folder.mkdir()
    try:
        library(folder, options.items, noise=5_000)
        with serving(folder) as server, _bare(folder) as bare:
            backup_id = _backup(server)
            (stored,) = folder.rglob(f"{backup_id}.json.zst")
            shutil.copy(stored, folder / "bare.zst")
            address = f"/api/backup/download/{backup_id}"
            (folder / "bare.json").write_bytes(
                httpx.get(server.url + address, headers=server.headers, timeout=60).content
            )
            ways = (
                (_JSON, server.url, address, server.headers),
                (_BARE_JSON, bare, "/bare.json", {}),
                (_STORED, server.url, f"{address}?format=zst", server.headers),
                (_BARE_STORED, bare, "/bare.zst", {}),
            )
            measured = measure(
                [partial(_downloaded, way) for way in ways], rounds=options.rounds, folder=options.folder
            )
            sizes = [(folder / name).stat().st_size / 1e6 for name in ("bare.json", "bare.zst")]
    finally:
        shutil.rmtree(folder)
    print(f"{sizes[0]:.0f} MB of JSON, {sizes[1]:.0f} MB as it is stored; one client, over loopback.\n")
    pairs = ((_JSON, _BARE_JSON), (_BARE_JSON, _BARE_JSON), (_STORED, _BARE_STORED), (_BARE_STORED, _BARE_STORED))
    rows = [[way, spread(measured[way]), spread(ratios(measured, way, reference), 2)] for way, reference in pairs]
    print_table(["way", "MB a second", "relative to the bare response"], rows)


def _backup(server: Serving) -> str:
    """Back up as many conversations as one request may name."""
    ids, cursor = [], ""
    with httpx.Client(base_url=server.url, headers=server.headers, timeout=600) as client:
        while len(ids) < 10_000:
            page = client.get(f"/api/conversations?limit=200{cursor}").json()
            ids += [item["id"] for item in page["conversations"]]
            if page["nextCursor"] is None:
                break
            cursor = f"&cursor={page['nextCursor']}"
        made = client.post("/api/backup/create", json={"conversationIds": ids[:10_000]}, headers={"Prefer": ""})
        backup_id = str(made.json()["backupId"])
        while client.get(f"/api/backups/{backup_id}").json()["state"] == "running":
            time.sleep(0.1)
    return backup_id


def _downloaded(way: tuple[str, str, str, dict[str, str]], _: Path) -> dict[str, float]:
    name, url, path, headers = way
    connection = http.client.HTTPConnection(str(urlsplit(url).netloc))
    started, size = time.perf_counter(), 0
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200
    while block := answer.read(1024 * 1024):
        size += len(block)
    connection.close()
    return {name: size / 1e6 / (time.perf_counter() - started)}


@contextlib.contextmanager
def _bare(folder: Path) -> Iterator[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port, number = listener.getsockname()[1], listener.fileno()
        process = subprocess.Popen([sys.executable, "-c", _BARE, str(folder), str(number)], pass_fds=[number])
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=30)


if __name__ == "__main__":
    main()
