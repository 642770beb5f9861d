"""What trainers would refuse, in imports over HTTP."""

import json

from support.servers.api import serving

_ROWS = json.dumps({"id": "x", "messages": [{"role": "user", "content": "q"}]}).encode()


async def test_an_import_lists_what_trainers_would_refuse(settings):
    """The response of an import has the warnings; with `strict` it is a refusal with counts, and stores nothing."""
    async with serving(settings) as api:
        strict = await api.ann.post(
            "/api/conversations/import", files={"file": ("in.jsonl", _ROWS)}, data={"strict": "true"}
        )
        listed = (await api.ann.get("/api/conversations")).json()
        imported = await api.ann.post("/api/conversations/import", files={"file": ("in.jsonl", _ROWS)})

    error = strict.json()["error"]
    assert (strict.status_code, error["code"]) == (422, "refused_by_trainers"), strict.text
    assert error["message"].endswith("nothing was imported. Without `strict` these are warnings")
    assert error["details"]["warnings"] == {"no_assistant": 1}
    assert error["message"].startswith("upload line 1, turn 1: ")
    assert listed["conversations"] == []
    assert imported.status_code == 201
    assert imported.json()["warnings"] == [
        {"kind": "no_assistant", "count": 1, "first": {"turn": 1, "line": 1, "conversationId": "x", "file": None}}
    ]
