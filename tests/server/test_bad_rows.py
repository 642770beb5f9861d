"""Bad rows of uploaded files: refused with the file, or left out and listed in the response."""

_GOOD = b'{"id": "a", "messages": [{"role": "user", "content": "Hello"}]}\n'
_CHATS = {"file": ("chats.jsonl", _GOOD + b"no JSON\n" + b'{"id": "b"}\n')}
_TOPICS = {"file": ("topics.csv", b"id,topic\n1,tea\n2\n3, \n4,cake\n")}


async def test_an_import_counts_bad_rows(api):
    """A bad row refuses the file with the number of the others and a hint at the field."""
    refused = await api.ann.post("/api/conversations/import", files=_CHATS)

    message = refused.json()["error"]["message"]
    assert refused.status_code == 422
    assert message.startswith("upload line 2: not valid JSON")
    assert message.endswith("; 1 more row is unusable. Leave such rows out (`onBadRow`: `skip`)")
    assert (await api.ann.get("/api/conversations")).json()["conversations"] == []


async def test_an_import_lists_skipped_rows(api):
    """With `onBadRow=skip` the others are imported, and the response lists the bad rows; so does its repetition."""
    headers, data = {"Idempotency-Key": "k"}, {"onBadRow": "skip"}

    imported = await api.ann.post("/api/conversations/import", files=_CHATS, data=data, headers=headers)
    repeated = await api.ann.post("/api/conversations/import", files=_CHATS, data=data, headers=headers)
    other = await api.ann.post("/api/conversations/import", files=_CHATS, headers=headers)

    assert imported.status_code == 201, imported.text
    assert (imported.json()["imported"], imported.json()["badRows"]) == (1, 2)
    assert [reason["line"] for reason in imported.json()["badRowReasons"]] == [2, 3]
    assert imported.json()["badRowReasons"][1]["reason"] == (
        "no conversation in the keys 'id'; expected a list of messages, or texts such as prompt and completion"
    )
    assert repeated.json() == imported.json()
    assert other.json()["error"]["code"] == "idempotency_key_reused"


async def test_an_upload_lists_skipped_rows(api):
    """A job that is created from a file without its bad rows has the others as items."""
    form = {"jobId": "j", "processor": "scripted", "start": "false"}

    refused = await api.ann.post("/api/batches/upload", files=_TOPICS, data=form)
    created = await api.ann.post("/api/batches/upload", files=_TOPICS, data={**form, "onBadRow": "skip"})
    whole = {"file": ("topics.csv", b"id,topic\n1,tea\n")}
    plain = await api.ann.post("/api/batches/upload", files=whole, data={**form, "jobId": "k"})

    assert refused.status_code == 422
    assert "upload line 3: 1 cell where the header has 2" in refused.json()["error"]["message"]
    assert (created.status_code, created.json()["planned"], created.json()["badRows"]) == (201, 2, 2)
    assert [reason["line"] for reason in created.json()["badRowReasons"]] == [3, 4]
    assert (plain.json()["badRows"], plain.json()["badRowReasons"]) == (0, [])


async def test_reasons_do_not_name_files_of_the_server(api):
    """Reasons speak of the upload, not of the file in which the server stores it."""
    rows = {"file": ("topics.jsonl", b'{"name": "x"}\n{"topic": "tea"}\n')}
    form = {"jobId": "j", "processor": "scripted", "start": "false", "onBadRow": "skip"}

    created = await api.ann.post("/api/batches/upload", files=rows, data=form)

    assert created.json()["badRowReasons"] == [{"line": 1, "reason": "has no column 'topic', only name", "file": None}]


async def test_a_quarantine_is_no_policy_of_a_server(api):
    """A server keeps no file of bad rows, so the policy is unknown to it."""
    data = {"onBadRow": "quarantine"}

    refused = await api.ann.post("/api/conversations/import", files=_CHATS, data=data)

    assert refused.status_code == 422
    assert "onBadRow" in refused.text
