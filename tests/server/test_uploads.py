"""Uploads of any size, pace and shape: excess is refused while it arrives."""

import gzip
import json
import socket
import time
from contextlib import closing, contextmanager

import pytest
import zstandard

from backstay.library.archive import ArchiveWriter, Manifest
from backstay.library.imports.imported_conversation import KEYS
from backstay.library.record import TURNS
from support.servers.api import served

_MARK = "mark"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with low limits and short timeouts."""
    toml = (
        "body_bytes = 100_000\nbodies_bytes = 150_000\nupload_bytes = 3_000_000\nidle_seconds = 1.0\nmax_uploads = 2\n"
    )
    with served(tmp_path_factory.mktemp("uploads"), toml) as running:
        yield running


def _head(server, path, *headers):
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {server.token}", *headers, "", ""]
    return "\r\n".join(lines).encode()


def _form_field(name, value, file=None):
    named = f'; filename="{file}"' if file else ""
    return f'--{_MARK}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode() + value + b"\r\n"


def _form(content, job="j"):
    return (
        _form_field("jobId", job.encode())
        + _form_field("processor", b"scripted")
        + _form_field("file", content, "t.csv")
        + f"--{_MARK}--\r\n".encode()
    )


def _answer(connection):
    connection.settimeout(20)
    received = b""
    while b"\r\n\r\n" not in received and (more := connection.recv(65536)):
        received += more
    return int(received.split()[1]) if received else None


def _sent(server, *pieces):
    """Send chunks until all are sent or the server stops reading; return the status."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    try:
        for piece in pieces:
            connection.sendall(piece)
    except (BrokenPipeError, ConnectionResetError):
        pass
    try:
        return _answer(connection)
    except ConnectionResetError:
        return None
    finally:
        connection.close()


def _chunked(data, size=50_000):
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    yield b"0\r\n\r\n"


_JSON = "Content-Type: application/json"
_MULTIPART = f"Content-Type: multipart/form-data; boundary={_MARK}"
_CHUNKED = "Transfer-Encoding: chunked"


def test_a_body_that_says_it_is_too_large_is_not_read(server):
    """A body with a Content-Length beyond the limit gets 413 at once."""
    head = _head(server, "/api/batches", _JSON, "Content-Length: 100001")

    assert _sent(server, head) == 413


def test_a_body_that_turns_out_too_large_is_refused(server):
    """A chunked body gets 413, or a closed connection, when it exceeds the limit."""
    head = _head(server, "/api/batches", _JSON, _CHUNKED)

    assert _sent(server, head, *_chunked(b" " * 5_000_000)) in {413, None}


def test_a_body_at_the_edge_is_read(server):
    """Control: a body of exactly the maximum size is read."""
    body = b'{"jobId":"edge","items":[{"topic":"x"}],"processor":"scripted"}'.ljust(100_000)

    assert _sent(server, _head(server, "/api/batches", _JSON, "Content-Length: 100000"), body) == 201


def test_a_file_that_is_too_large_is_refused(server):
    """A file beyond the limit is refused while it arrives, and memory stays flat."""
    body = _form(b"topic\n" + b"x\n" * 10_000_000)
    memory = server.megabytes()

    assert _sent(server, _head(server, "/api/batches/upload", _MULTIPART, f"Content-Length: {len(body)}"), body) in {
        413,
        None,
    }
    assert _sent(server, _head(server, "/api/batches/upload", _MULTIPART, _CHUNKED), *_chunked(body)) in {413, None}
    assert server.megabytes() < memory + 40
    assert server.client.get("/api/batches/j").status_code == 404


def test_a_file_is_read_in_pieces(server):
    """A chunked upload is read correctly even if its boundaries arrive byte by byte."""
    body = _form(b"topic\nx\ny\n", job="pieces")
    head = _head(server, "/api/batches/upload", _MULTIPART, _CHUNKED)

    assert _sent(server, head, *_chunked(body, 7)) == 201


def test_a_body_that_stops_arriving_times_out(server):
    """A body that stops arriving gets 408 after the timeout, and its slot is free again."""
    before = server.descriptors()
    started = time.monotonic()
    for path, kind, beginning in (("/api/batches", _JSON, b"{"), ("/api/batches/upload", _MULTIPART, b"--mark\r\n")):
        assert _sent(server, _head(server, path, kind, "Content-Length: 1000"), beginning) == 408
    assert time.monotonic() - started < 15
    server.wait_for(lambda: server.descriptors() <= before + 2)


def test_clients_that_vanish_in_the_middle_leave_nothing(server):
    """Clients that disconnect during an upload leave no descriptor, file or job."""
    before = server.descriptors()
    body = _form(b"topic\n" + b"x\n" * 500_000, job="gone")
    for cut in (10, 200, 100_000, len(body) - 5):
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        head = _head(server, "/api/batches/upload", _MULTIPART, f"Content-Length: {len(body)}")
        connection.sendall(head + body[:cut])
        connection.close()

    server.wait_for(lambda: b'backstay_transfers{kind="upload"} 0.0' in server.client.get("/metrics").content)
    server.wait_for(lambda: server.descriptors() <= before + 2)
    assert server.client.get("/api/batches/gone").status_code == 404


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "identity, gzip"])
def test_compressed_bodies_are_refused(server, encoding):
    """Compressed bodies are refused, because a few bytes could expand without limit."""
    body = gzip.compress(b" " * 1_000_000)
    head = _head(server, "/api/batches", _JSON, f"Content-Length: {len(body)}", f"Content-Encoding: {encoding}")

    assert _sent(server, head, body) == 415


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"POST /api/batches HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /api/batches HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_malformed_heads_are_refused(server, head):
    """A malformed head gets a 4xx response, and the server keeps running."""
    status = _sent(server, head)

    assert status is None or 400 <= status < 500
    assert server.client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--mark",
        b"--mark\r\n\r\n\r\n--mark--",
        _form_field("file", b"topic\nx\n", "t.csv"),
        b"--other--\r\n",
    ],
)
def test_malformed_forms_are_refused(server, body):
    """A malformed form gets a 4xx response in the API's shape."""
    answer = server.client.post(
        "/api/batches/upload",
        content=body,
        headers={"Content-Type": f"multipart/form-data; boundary={_MARK}"},
    )

    assert 400 <= answer.status_code < 500, answer.text
    assert set(answer.json()["error"]) == {"code", "message", "details", "remedy"}


@pytest.fixture(scope="module")
def patient_server(tmp_path_factory):
    """A server with low limits that waits for the rest of a body."""
    with served(
        tmp_path_factory.mktemp("patient"), "bodies_bytes = 150_000\nbody_bytes = 100_000\nmax_uploads = 2\n"
    ) as running:
        yield running


@contextmanager
def _begun(server, head, beginning):
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=20)) as connection:
        connection.sendall(head + beginning)
        yield connection


def test_uploads_beyond_the_limit_are_refused_before_they_are_read(patient_server):
    """An upload without a free slot is refused by its head alone, and later uploads succeed."""
    server = patient_server
    body = _form(b"topic\nx\n", job="waited")
    head = _head(server, "/api/batches/upload", _MULTIPART, f"Content-Length: {len(body)}")
    with _begun(server, head, body[:50]) as first, _begun(server, head, body[:50]):
        server.wait_for(lambda: b'backstay_transfers{kind="upload"} 2.0' in server.client.get("/metrics").content)

        with _begun(server, head, b"") as third:
            refused = third.recv(65536)
            assert refused.startswith(b"HTTP/1.1 429")
            assert b"retry-after: 5" in refused
            assert b"connection: close" in refused.lower()
        first.sendall(body[50:])
        assert _answer(first) == 201
        assert _sent(server, head, body) == 201


def test_bodies_are_bounded_together(patient_server):
    """A body that would exceed the total limit is refused, and accepted once others have ended."""
    server = patient_server
    head, body = _head(server, "/api/batches", _JSON, "Content-Length: 100000"), b" " * 100_000
    with _begun(server, head, body[:90_000]):
        server.wait_for(lambda: _sent(server, head, body) == 429)
    server.wait_for(lambda: _sent(server, head, body) == 422)


@pytest.mark.parametrize(
    "content, kind",
    [
        (_form_field("jobId", b"x" * 65_537) + b"--mark--\r\n", _MULTIPART),
        (b"".join(_form_field(f"f{number}", b"x") for number in range(301)) + b"--mark--\r\n", _MULTIPART),
        (b"".join(_form_field("file", b"topic\nx\n", "t.csv") for _ in range(2)) + b"--mark--\r\n", _MULTIPART),
        (b"jobId=" + b"%41" * 21_846, "Content-Type: application/x-www-form-urlencoded"),
    ],
    ids=["field", "fields", "files", "encoded"],
)
def test_forms_beyond_their_limits_are_refused(server, content, kind):
    """A form with a field that is too long, too many fields or too many files is refused, naming the limit."""
    head = {"Content-Type": kind.partition(": ")[2]}

    refused = server.client.post("/api/batches/upload", content=content, headers=head)

    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_large")
    assert "300 other fields of 65,536 bytes" in refused.json()["error"]["message"]


def test_a_form_at_its_limits_is_read(server):
    """A form at the limits of length and number of fields is still read, so its unknown fields are named."""
    fields = b"".join(_form_field(f"f{number}", b"x" * 65_536 if number == 0 else b"x") for number in range(298))

    answer = server.client.post(
        "/api/batches/upload", content=fields + _form(b"topic\nx\n", job="full"), headers=dict([_MULTIPART.split(": ")])
    )

    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["message"].startswith("f0: Unknown form field; known fields: file, ")


@pytest.fixture(scope="module")
def narrow_server(tmp_path_factory):
    """A server with low limits for the content of uploads."""
    toml = "import_rows = 30\nimport_bytes = 20_000\nupload_items = 10\nitems_bytes = 20_000\n"
    with served(tmp_path_factory.mktemp("narrow"), toml) as running:
        yield running


_WIDE = b"topic," + b"c" * 5_000 + b"\n" + b"x,1\n" * 5


def _rows(count, text="x"):
    turns = [{"role": "user", "content": text}, {"role": "assistant", "content": "y"}]
    return b"".join(json.dumps({"messages": turns}).encode() + b"\n" for _ in range(count))


def _compressed_backup(count, text):
    """Write a backup file of a few bytes that expands to much data."""
    writer = ArchiveWriter()
    manifest = Manifest("backup-1-a", "2026-01-01T00:00:00Z", "x", "o", "sqlite")
    turn = {"id": None, "sequence": 1, "role": "user", "content": text, "metadata": {}}
    document = dict.fromkeys(KEYS) | {"id": "c", "metadata": {}, TURNS: [turn]}
    lines = [json.dumps({**document, "id": f"c{number}"}).encode() for number in range(count)]
    return writer.head(manifest) + writer.lines(lines, count)[0] + writer.tail()


@pytest.mark.parametrize(
    "path, name, content, form, message",
    [
        ("conversations/import", "r.jsonl", _rows(11), {}, "30 conversations and turns together"),
        ("conversations/import", "r.jsonl", _rows(4, "x" * 6_000), {}, "20,000 bytes of text"),
        ("conversations/import", "b.json.zst", _compressed_backup(4, "x" * 6_000), {}, "20,000 bytes of text"),
        ("batches/upload", "t.csv", b"topic\n" + b"x\n" * 11, {"processor": "scripted"}, "10 items"),
        ("batches/upload", "t.csv", _WIDE, {"processor": "scripted"}, "20,000 bytes"),
    ],
    ids=["rows", "text", "compressed", "items", "names of columns"],
)  # fmt: skip
def test_the_content_of_an_upload_is_limited(narrow_server, path, name, content, form, message):
    """A file whose content exceeds a limit is refused as a whole, naming the limit and its setting."""
    client = narrow_server.client

    refused = client.post(
        f"/api/{path}", files={"file": (name, content)}, data={"jobId": "much", **form} if form else {}
    )

    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "input_too_large")
    assert message in refused.json()["error"]["message"]
    assert "split it, or ask the server's operator to raise `import_rows`" in refused.json()["error"]["message"]
    assert client.get("/api/batches/much").status_code == 404
    assert client.get("/api/conversations").json()["conversations"] == []


def test_the_halves_of_a_file_that_is_too_large_are_taken(tmp_path):
    """Splitting a file as the message advises makes each half acceptable."""
    with served(tmp_path, "import_rows = 30\nupload_items = 10\n") as server:
        for half in (_rows(10), _rows(1)):
            answer = server.client.post("/api/conversations/import", files={"file": ("r.jsonl", half)})
            assert answer.status_code == 201, answer.text
        items = {"file": ("t.csv", b"topic\n" + b"x\n" * 10)}
        job = server.client.post("/api/batches/upload", files=items, data={"jobId": "j", "processor": "scripted"})

    assert job.status_code == 201, job.text


async def test_a_backup_of_the_legacy_library_is_imported(api):
    """A file that the legacy library wrote can be imported unchanged."""
    turns = [{"id": "turn-1", "content": "Turn content", "role": "user", "sequence": 1}]
    conversation = {"id": "conv-1", "content": "Conversation content", "persona": "Expert", "conversation_turns": turns}
    backup = {"version": "1.0", "createdAt": "2025-11-04T10:00:00.000Z", "backupReason": "bulk_delete"}
    data = json.dumps({**backup, "conversations": [conversation]}, indent=2).encode()

    imported = await api.ann.post("/api/conversations/import", files={"file": ("backup-1-a.json", data)})

    assert (imported.status_code, imported.json()["imported"]) == (201, 1), imported.text
    imported_conversation = (await api.ann.get("/api/conversations/conv-1")).json()
    assert (imported_conversation["persona"], imported_conversation["turns"][0]["content"]) == (
        "Expert",
        "Turn content",
    )


async def test_items_of_the_legacy_library_make_a_job(api):
    """Items of the legacy library, with `parameters` and `status`, become the same items as without."""
    items = [{"id": "1", "topic": "AI Ethics", "parameters": {"tone": "calm"}, "status": "completed"}]
    body = {"jobId": "job", "processor": "scripted", "start": False}

    made = await api.ann.post("/api/batches", json={**body, "items": items})
    same = [{"id": "1", "topic": "AI Ethics", "tone": "calm"}]
    again = await api.ann.post("/api/batches", json={**body, "items": same})

    assert (made.status_code, again.status_code) == (201, 201), again.text
    assert (made.json()["pending"], again.json()["planned"]) == (1, 1)


async def test_an_import_puts_a_prefix_before_ids(api):
    """Ids begin with `idPrefix`; another prefix makes another request, and a prefix of spaces is refused."""
    row = b'{"id": 7, "messages": [{"role": "assistant", "content": "A"}]}'
    answers = [
        await api.ann.post(
            "/api/conversations/import",
            files={"file": ("r.jsonl", row)},
            data={"idPrefix": prefix},
            headers={"Idempotency-Key": key},
        )
        for prefix, key in (("faq-", "k"), ("other-", "k"), (" ", "l"))
    ]

    listed = (await api.ann.get("/api/conversations")).json()["conversations"]

    assert [answer.status_code for answer in answers] == [201, 409, 422]
    assert answers[1].json()["error"]["code"] == "idempotency_key_reused"
    assert [each["id"] for each in listed] == ["faq-7"]


async def test_import_splits_off_reasoning_on_request(api):
    """With `splitReasoning`, a thought at the start of an answer is the reasoning of its turn."""
    row = b'{"id": "x", "messages": [{"role": "assistant", "content": "<think>Hm.</think>A"}]}'

    imported = await api.ann.post(
        "/api/conversations/import", files={"file": ("r.jsonl", row)}, data={"splitReasoning": "true"}
    )
    exported = await api.ann.post("/api/conversations/export", json={"conversationIds": ["x"], "format": "native"})

    assert imported.status_code == 201, imported.text
    assert exported.json()["conversation_turns"][0]["content"] == "A"


@pytest.mark.parametrize(
    "name, content, form",
    [
        ("t.csv", b"Topic;x\nTea;1\n", {}),
        ("C:\\Users\\me\\t.csv", b"topic\nTea\n", {}),
        ("../../t.CSV", b"topic\nTea\n", {}),
        ("t\u00f6 (1).txt", b"Tea\n", {}),
        ("t", b"topic\nTea\n", {}),
        ("t.jsonl.gz", gzip.compress(b'{"topic": "Tea"}\n', mtime=0), {}),
        ("t.json", b'{"topic": "Tea"}\n{"topic": "Salt"}\n', {}),
        ("t.csv", "topic;x\nGr\u00f6\u00dfe;1\n".encode("cp1252"), {"encoding": "cp1252"}),
        ("t.csv", b"topic^x\nTea^1\n", {"delimiter": "^"}),
    ],
)
async def test_files_of_many_kinds_make_a_job(api, name, content, form):
    """A job is made from each kind of file; of its name only the ending counts."""
    body = {"jobId": "job", "processor": "scripted", "start": "false", **form}

    made = await api.ann.post("/api/batches/upload", files={"file": (name, content)}, data=body)

    assert made.status_code == 201, made.text
    assert made.json()["planned"] >= 1


@pytest.mark.parametrize(
    "path, name, content, form, status, message",
    [
        ("batches/upload", "b.xlsx", b"PK", {}, 415, "a spreadsheet; save it there as CSV UTF-8"),
        ("batches/upload", "b.docx", b"PK", {}, 415, "must end in one of .csv"),
        ("batches/upload", "t.csv", b"topic\n\xe9\n", {}, 422, "upload line 2: not UTF-8 text, but probably cp1252"),
        ("batches/upload", "t.csv", b"topic\n", {"encoding": "cp1253x"}, 422, "did you mean cp1253?"),
        ("batches/upload", "t.csv", b"topic\n", {"delimiter": "tabs"}, 422, "The delimiter is one character"),
        ("batches/upload", "t.csv.gz", b"\x1f\x8b", {}, 422, "upload: the gzip data is truncated"),
        ("conversations/import", "t.txt", b"Tea", {}, 415, "must end in one of .csv"),
        ("conversations/import", "t.jsonl", b"{}", {"encoding": "x"}, 422, "Unknown encoding 'x'"),
    ],
)
async def test_files_that_cannot_be_read_are_refused(api, path, name, content, form, status, message):
    """A file of another kind, in another encoding or truncated is refused, and the error calls it `upload`."""
    body = {"jobId": "job", "processor": "scripted", **form} if path.startswith("batches") else form

    refused = await api.ann.post(f"/api/{path}", files={"file": (name, content)}, data=body)

    assert refused.status_code == status, refused.text
    assert message in refused.json()["error"]["message"]
    assert "/tmp" not in refused.text


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_the_expanded_content_of_an_upload_is_limited(narrow_server, compress):
    """A small file that expands beyond a limit is refused while it expands."""
    client = narrow_server.client
    items = {"file": ("t.jsonl", compress(b" " * 5_000_000 + b'{"topic": "x"}'))}
    rows = {"file": ("r.jsonl", compress(b" " * 5_000_000 + _rows(1)))}

    job = client.post("/api/batches/upload", files=items, data={"jobId": "much", "processor": "scripted"})
    imported = client.post("/api/conversations/import", files=rows)

    assert (job.status_code, job.json()["error"]["code"]) == (413, "input_too_large")
    assert (imported.status_code, imported.json()["error"]["code"]) == (413, "input_too_large")


async def test_responses_have_what_was_noticed_about_a_file(api):
    """Responses to an import and an upload, and to their repetition, have each note about the file once."""
    chats = {"file": ("c.csv", "id;prompt;completion\n1;Tea?;Tea.\n".encode("utf-16"))}
    topics = {"file": ("t.csv", b"topic|tone\nTea|warm\n")}
    form = {"jobId": "job", "processor": "scripted", "start": "false"}
    headers = {"Idempotency-Key": "k"}

    imports = [await api.ann.post("/api/conversations/import", files=chats, headers=headers) for _ in range(2)]
    created = await api.ann.post("/api/batches/upload", files=topics, data=form)
    plain = await api.ann.post("/api/conversations/import", files={"file": ("r.jsonl", _rows(1))})

    assert imports[0].json()["notes"] == [
        "upload: the text is UTF-16.",
        "upload: columns are separated by semicolons.",
    ]
    assert imports[1].json() == imports[0].json()
    assert created.json()["notes"] == ["upload: columns are separated by pipes."]
    assert plain.json()["notes"] == ["upload: 1 row has no id, so importing it again stores it again."]


async def test_the_first_of_all_bad_rows_is_named(api):
    """A row that can be read but not stored counts as one of the bad rows, like a row that cannot be read."""
    rows = [{"conversations": []}, {"messages": [{"role": "user", "content": ""}]}, {"messages": [{"role": "?"}]}]
    file = ("r.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    refused = await api.ann.post("/api/conversations/import", files={"file": file})

    message = "upload line 1: the conversation has no turns; 2 more rows are unusable"
    assert (refused.status_code, refused.json()["error"]["message"].startswith(message)) == (422, True)


async def test_compressed_conversations_are_imported(api):
    """Conversations are imported from compressed rows, and a repeated request is recognised by all its fields."""
    files = {"file": ("r.jsonl.gz", gzip.compress(_rows(3)))}

    first = await api.ann.post("/api/conversations/import", files=files, headers={"Idempotency-Key": "k"})
    again = await api.ann.post("/api/conversations/import", files=files, headers={"Idempotency-Key": "k"})
    other = await api.ann.post(
        "/api/conversations/import", files=files, data={"encoding": "cp1252"}, headers={"Idempotency-Key": "k"}
    )

    assert (first.status_code, first.json()["imported"], again.json()) == (201, 3, first.json())
    assert other.json()["error"]["code"] == "idempotency_key_reused"
