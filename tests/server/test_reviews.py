"""Reviews over HTTP: one conversation, a selection, and lists by review."""

import pytest

from backstay.library.review import Review, ReviewStatus
from support.servers.api import ANN, ENOUGH, LOCAL, bearer, libraries, serving

settings = libraries(ENOUGH)

HOSTILE = "<img src=x onerror=alert(1)>\u202e'; --"


async def _ids(client, count=3):
    items = [{"topic": f"t{n}"} for n in range(count)]
    created = await client.post("/api/batches", json={"jobId": "job", "items": items, "processor": "scripted"})
    assert created.status_code == 201, created.text
    return [await _wait_for(client, count, n) for n in range(count)]


async def _wait_for(client, count, number):
    while True:
        listed = (await client.get("/api/conversations?jobId=job")).json()["conversations"]
        if len(listed) == count:
            return listed[number]["id"]


async def test_a_review_is_changed_and_shown(api):
    """PATCH sets the fields that are given, null removes them, and the reviewer is the user of the token."""
    first, *_ = await _ids(api.ann)
    path = f"/api/conversations/{first}"

    changed = await api.ann.patch(
        path, json={"status": "rejected", "rating": 2, "note": HOSTILE, "addTags": [HOSTILE, "a"]}
    )
    cleared = await api.ann.patch(path, json={"rating": None, "removeTags": ["a"]})

    review = changed.json()["review"]
    assert (changed.status_code, review.pop("reviewedAt")[-1]) == (200, "Z")
    assert review.pop("digest") == Review(ReviewStatus.REJECTED, 2, (HOSTILE, "a"), HOSTILE).digest()
    assert review == {
        "status": "rejected", "rating": 2, "note": HOSTILE, "tags": [HOSTILE, "a"], "reviewer": ANN,
    }  # fmt: skip
    assert [cleared.json()["review"][name] for name in ("status", "rating", "tags")] == ["rejected", None, [HOSTILE]]
    assert changed.json()["updatedAt"] == (await api.ann.get(path)).json()["updatedAt"]


async def test_a_newer_review_is_not_overwritten(api):
    """A change that expects an earlier review is refused with the current one and what was sent, unless it changes
    nothing; one that expects the current review is stored."""
    first, *_ = await _ids(api.ann)
    path = f"/api/conversations/{first}"
    read = (await api.ann.get(path)).json()["review"]["digest"]

    newer = (await api.ann.patch(path, json={"rating": 2, "expected": read})).json()["review"]
    refused = await api.ann.patch(path, json={"note": "mine", "expected": read})
    repeated = await api.ann.patch(path, json={"rating": 2, "expected": read})
    stored = await api.ann.patch(path, json={"note": "mine", "expected": newer["digest"]})

    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (409, "review_changed")
    assert (error["details"]["current"], error["details"]["submitted"]) == (newer, {"note": "mine"})
    assert (repeated.status_code, repeated.json()["review"]) == (200, newer)
    assert (stored.json()["review"]["note"], stored.json()["review"]["rating"]) == ("mine", 2)


async def test_a_selection_is_reviewed_and_listed(api):
    """A selection is reviewed with one request, and every condition on reviews lists its conversations."""
    ids = await _ids(api.ann)
    body = {"selection": {"jobId": "job"}, "status": "kept", "rating": 4, "tags": ["a b", "c"]}

    first = await api.ann.post("/api/conversations/review", json=body)
    again = await api.ann.post("/api/conversations/review", json=body)
    await api.ann.post(
        "/api/conversations/review",
        json={"selection": {"status": "kept", "conversationIds": ids[:1]}, "status": "unreviewed", "tags": []},
    )

    assert (first.json(), again.json()) == ({"changed": 3, "unchanged": 0}, {"changed": 0, "unchanged": 3})
    for query, count in (
        ("status=kept", 2), ("status=unreviewed", 1), ("status=rejected", 0), ("ratingBelow=5", 3), ("ratingFrom=5", 0),
        ("tags=a+b&tags=c", 2), ("tags=a+b&tags=d", 0), ("untagged=true", 1), ("untagged=false", 3),
        ("unrated=true", 0), ("unrated=false", 3), ("noteContains=x", 0), (f"reviewedBy={ANN}", 3),
    ):  # fmt: skip
        listed = (await api.ann.get(f"/api/conversations?{query}")).json()["conversations"]
        assert len(listed) == count, query
    listed = (await api.ann.get("/api/conversations?status=kept")).json()["conversations"][0]
    assert (listed["status"], listed["rating"], listed["tags"]) == ("kept", 4, ["a b", "c"])
    exported = await api.ann.post("/api/conversations/export", json={"status": "kept", "tags": ["c"]})
    assert len(exported.text.splitlines()) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "Nothing to change: give a status, a rating, tags or a note"),
        ({"status": "good"}, "status: "),
        ({"rating": 6}, "rating: "),
        ({"rating": True}, "rating: "),
        ({"rating": 2.0}, "rating: "),
        ({"note": "x" * 10_001}, "note: "),
        ({"note": "\x00"}, "note: it contains a NUL character"),
        ({"addTags": ["a\n"]}, "has a line break or a control character"),
        ({"addTags": ["a" * 101]}, "addTags.0: "),
        ({"addTags": ["a"], "removeTags": ["a"]}, "both added and removed"),
        ({"tags": ["a"] * 51}, "tags: "),
    ],
)
async def test_wrong_changes_are_refused(api, change, message):
    """A wrong field is refused with 422 and its name, for one conversation and for a selection."""
    for answer in (
        await api.ann.patch("/api/conversations/x", json=change),
        await api.ann.post("/api/conversations/review", json={"selection": {"all": True}, **change}),
    ):
        assert (answer.status_code, message in answer.json()["error"]["message"]) == (422, True), answer.text


@pytest.mark.promise("K4")
async def test_another_owners_conversation_is_not_found(api):
    """Another owner's conversation is not found, alone or among one's own, and nothing is changed."""
    first, *_ = await _ids(api.ann)
    mine = await _ids(api.bob)

    one = await api.bob.patch(f"/api/conversations/{first}", json={"status": "kept"})
    several = await api.bob.post(
        "/api/conversations/review", json={"selection": {"conversationIds": [*mine, first]}, "status": "kept"}
    )

    assert (one.status_code, several.status_code) == (404, 404)
    assert (await api.bob.get("/api/conversations?status=kept")).json()["conversations"] == []
    assert (await api.ann.get(f"/api/conversations/{first}")).json()["review"]["status"] == "unreviewed"


async def test_with_a_local_token_the_reviewer_is_the_setting(settings):
    """With the local token, which is the same for everyone, the reviewer is that of the settings."""
    async with serving(settings.model_copy(update={"reviewer": "Ann"}), local=True) as api:
        first, *_ = await _ids(api.ann)
        changed = await api.ann.patch(f"/api/conversations/{first}", json={"status": "kept"}, headers=bearer(LOCAL))

    assert changed.json()["review"]["reviewer"] == "Ann"
