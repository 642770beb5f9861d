"""Making conversations again over HTTP: plan, start, follow and undo."""

import asyncio

from support.harness.async_waiting import until
from support.stores.sql import ask


async def _plan(api, **body):
    return await api.ann.post("/api/conversations/regenerate-plan", json={"selection": {"jobId": "job"}, **body})


async def _start(api, digest, **body):
    return await api.ann.post(
        "/api/conversations/regenerate", json={"selection": {"jobId": "job"}, "digest": digest, **body}
    )


async def _ids(api):
    return {each["itemId"]: each["id"] for each in (await api.ann.get("/api/conversations")).json()["conversations"]}


async def _made(api):
    """Make three conversations whose inputs stay, since a fourth item is pending."""
    items = [{"id": f"i{number}", "topic": f"topic {number}"} for number in range(4)]
    await api.ann.post(
        "/api/batches", json={"jobId": "job", "items": items, "processor": "scripted", "start": False, "concurrency": 1}
    )
    await api.ann.post("/api/batches/job/resume", json={"limit": 3})
    await until(lambda: _has(api, "job", "completed", 3))
    await until(lambda: _has(api, "job", "workers", 0))
    return await _ids(api)


async def _has(api, job, name, value):
    return (await api.ann.get(f"/api/batches/{job}")).json().get(name) == value


async def test_conversations_are_made_again_and_put_back(api):
    """A plan changes nothing; the start backs up and works in the background; the undo puts the old ones back."""
    old = await _made(api)

    plan = (await _plan(api)).json()
    started = await _start(api, plan["digest"])
    await until(lambda: _has(api, "job-again-1", "state", "completed"))
    new = await _ids(api)
    shown = (await api.ann.get(f"/api/conversations/{new['i1']}")).json()
    gone = await api.ann.get(f"/api/conversations/{old['i1']}")
    undone = await api.ann.post("/api/conversations/regenerate-undo", json={"backupId": started.json()["backupId"]})

    assert (plan["conversations"], plan["problems"]) == (3, [])
    assert [(job["jobId"], job["processor"], job["conversations"]) for job in plan["jobs"]] == [("job", "scripted", 3)]
    assert (started.status_code, started.json()["jobIds"]) == (202, ["job-again-1"])
    assert set(new.values()).isdisjoint(old.values())
    assert shown["madeAgainFrom"]["oldId"] == old["i1"]
    assert (gone.status_code, gone.json()["error"]["details"]["replacedBy"]) == (404, new["i1"])
    assert undone.json()["replaced"] == 3
    assert await _ids(api) == old


async def test_an_outdated_plan_is_refused(api):
    """A start with another digest than the plan's makes nothing."""
    await _made(api)

    refused = await _start(api, "0" * 64)

    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "plan_outdated")
    assert await asyncio.to_thread(
        ask, api.state.backstay.settings.database_url, "SELECT count(*) FROM regenerations"
    ) == [(0,)]


async def test_problems_are_named(api):
    """Conversations that cannot be made again are counted by reason in the plan, and refuse the start."""
    await api.made(2)
    # Earlier versions kept no inputs of completed jobs.
    await asyncio.to_thread(ask, api.state.backstay.settings.database_url, "DELETE FROM input_blocks")

    plan = (await _plan(api)).json()
    refused = await _start(api, plan["digest"])

    assert [(problem["reason"], problem["count"]) for problem in plan["problems"]] == [("input_gone", 2)]
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "cannot_regenerate")
    assert refused.json()["error"]["details"]["problems"][0]["count"] == 2


async def test_only_what_the_settings_name_makes_them(api):
    """A recipe, a processor or a model that the settings do not name is refused."""
    await _made(api)

    answers = [
        await _plan(api, recipe="nowhere"),
        await _plan(api, processor="os:getcwd"),
        await _plan(api, model="ollama:llama3"),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert (await _plan(api, processor="scripted", model="ollama:x")).status_code == 422


async def test_another_owner_has_nothing_to_make_again(api):
    """Another owner's conversations are not found, and their backups are not undone."""
    old = await _made(api)
    started = await _start(api, (await _plan(api)).json()["digest"])
    await until(lambda: _has(api, "job-again-1", "state", "completed"))

    plan = await api.bob.post(
        "/api/conversations/regenerate-plan", json={"selection": {"conversationIds": list(old.values())}}
    )
    undo = await api.bob.post("/api/conversations/regenerate-undo", json={"backupId": started.json()["backupId"]})

    assert plan.status_code == 404
    assert undo.status_code == 422
