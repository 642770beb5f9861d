"""Jobs over HTTP: created from items or files, run in the background, and controlled."""

import asyncio
import sys
from types import ModuleType
from urllib.parse import quote

import pytest

from backstay import Backstay, Halt, Recipe
from backstay.batch.service import Batches
from backstay.server.supervisor import Supervisor
from support.fakes.processors import Writer
from support.harness.async_waiting import until
from support.servers.api import ANN, serving

_ITEMS = [{"id": "a", "topic": "Lighthouses", "audience": "children"}, {"id": "b", "topic": "Tides"}]


async def _create(api, job_id="topics", *, items=_ITEMS, **more):
    return await api.ann.post("/api/batches", json={"jobId": job_id, "items": items, "processor": "scripted", **more})


async def test_a_job_of_items_is_worked_on(api):
    """A job created from items runs in the background and completes."""
    created = await _create(api)

    assert created.status_code == 201
    assert created.headers["location"] == "/api/batches/topics"
    assert (created.json()["id"], created.json()["planned"]) == ("topics", 2)
    job = await api.settled("topics")
    assert (job["state"], job["completed"], job["percentage"]) == ("completed", 2, 100.0)


async def test_the_same_job_again_is_the_existing_job(api):
    """Creating a job again with the same items returns the existing job, and with other items is refused."""
    await _create(api)
    await api.settled("topics")

    again = await _create(api)
    other = await _create(api, items=[{"id": "a", "topic": "Lamps"}])

    assert (again.status_code, again.json()["state"]) == (201, "completed")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "items_differ")


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e400"])
async def test_a_number_that_is_not_finite_is_refused(api, number):
    """A number that JSON cannot hold is refused with its field and the reason."""
    body = f'{{"jobId":"topics","items":[{{"topic":"Lamps","rank":{number}}}],"processor":"scripted"}}'
    refused = await api.ann.post("/api/batches", content=body, headers={"Content-Type": "application/json"})

    assert refused.status_code == 422
    assert refused.json()["error"]["message"] == "items: it has a number that is not finite"


async def test_a_job_may_wait_for_its_start(api):
    """A job created with `start: false` stays pending until it is resumed."""
    created = await _create(api, start=False)
    assert (created.json()["state"], api.state.supervisor.job_count) == ("pending", 0)

    resumed = await api.ann.post("/api/batches/topics/resume")

    assert resumed.status_code == 202
    assert (await api.settled("topics"))["state"] == "completed"


async def test_jobs_are_listed_in_pages(api):
    """Jobs are listed latest first, and the cursor continues where the page ended."""
    for number in range(3):
        await _create(api, f"job-{number}", start=False)

    first = (await api.ann.get("/api/batches", params={"limit": 2})).json()
    second = (await api.ann.get("/api/batches", params={"limit": 2, "cursor": first["nextCursor"]})).json()

    assert [job["id"] for job in first["jobs"]] == ["job-2", "job-1"]
    assert [job["id"] for job in second["jobs"]] == ["job-0"]
    assert second["nextCursor"] is None


async def test_an_imported_job_waits_for_its_items(api):
    """An imported job is listed until a job of its name is created with all its items, or it is discarded."""
    imports = api.state.backstay._store.waiting_imports
    for job_id in ("nightly", "unwanted"):
        await imports.add(ANN, job_id, {"a": None, "gone": "it was late"})

    listed = (await api.ann.get("/api/batches")).json()
    shown = await api.ann.get("/api/batches/nightly")
    discarded = await api.ann.post("/api/batches/unwanted/discard")
    without = await _create(api, "nightly")
    created = await _create(api, "nightly", items=[*_ITEMS, {"id": "gone", "topic": "Rocks"}], start=False)

    waiting = sorted((job["jobId"], job["completed"], job["failed"]) for job in listed["waitingImports"])
    assert (listed["jobs"], waiting) == ([], [("nightly", 1, 1), ("unwanted", 1, 1)])
    assert (shown.status_code, "was imported and waits" in shown.json()["error"]["message"]) == (404, True)
    assert discarded.status_code == 200
    assert (without.status_code, without.json()["error"]["code"]) == (409, "items_differ")
    assert [created.json()[name] for name in ("state", "pending", "completed", "failed")] == ["pending", 1, 1, 1]
    assert (await api.ann.get("/api/batches")).json()["waitingImports"] == []


async def test_the_page_lists_imported_jobs(settings):
    """The page of batches shows imported jobs, with how they continue, and discards one."""
    async with Backstay.open(settings.database_url) as backstay:
        await backstay._store.waiting_imports.add("local", "nightly", {"a": None, "gone": "it was late"})

    async with serving(settings, local=True) as running:
        page = await running.ann.get("/batches")
        await running.ann.post("/batches/act", data={"id": "nightly", "action": "discard"})
        after = await running.ann.get("/batches")

    row = page.text[page.text.index("nightly</span>") :]
    assert row.index('data-label="Completed" class="number">1<') < row.index('data-label="Failed" class="number">1<')
    assert "Start a batch of the same name with all its items" in page.text
    assert (after.status_code, "nightly" in after.text) == (200, False)


async def test_incomplete_jobs_are_those_with_work_left(api):
    """The list of incomplete jobs omits finished jobs."""
    await _create(api, "done")
    await api.settled("done")
    await _create(api, "waiting", start=False)

    listed = (await api.ann.get("/api/batches", params={"incomplete": "true"})).json()

    assert [job["id"] for job in listed["jobs"]] == ["waiting"]


async def test_a_job_is_paused_and_resumed(settings, gate):
    """A paused job stops gracefully, and after a resume no finished item is repeated."""
    items = [{"id": str(number), "topic": f"t{number}"} for number in range(200)]
    async with serving(settings, processors=("gate:gate",)) as api:
        await _create(api, items=items, processor="gate:gate", concurrency=4)
        await gate.reached(4)

        paused = await api.ann.post("/api/batches/topics/pause")
        gate.open()
        at_rest = await api.settled("topics")

        assert (paused.status_code, paused.json()["state"]) == (200, "paused")
        assert (at_rest["pause"]["code"], at_rest["running"]) == ("by_user", 0)
        assert 0 < at_rest["completed"] < 200
        await api.ann.post("/api/batches/topics/resume", json={"concurrency": 64})
        assert (await api.settled("topics"))["completed"] == 200
        assert len(gate.calls) == 200


async def test_a_job_resumed_while_it_is_pausing_continues(settings, gate):
    """A job that is resumed while its run is still pausing runs again without another request."""
    await _check_that_a_resume_during_a_pause_counts(settings, gate)


async def test_control_without_its_memory_a_resume_during_a_pause_is_lost(settings, gate, monkeypatch):
    """If the supervisor forgets the request, a job that is resumed during a pause stays paused."""
    monkeypatch.setattr(Supervisor, "_run_until_ended", _forgetful(Supervisor._run_until_ended))

    with pytest.raises(AssertionError, match=r"^the job is paused, 4 items are completed"):
        await _check_that_a_resume_during_a_pause_counts(settings, gate)


def _forgetful(run_until_ended):
    async def working(self, owner, job_id, run):
        forgetting = asyncio.create_task(_forget(run))
        try:
            return await run_until_ended(self, owner, job_id, run)
        finally:
            forgetting.cancel()

    return working


async def _forget(run):
    while True:
        run.is_requested_again = False
        await asyncio.sleep(0)


async def _check_that_a_resume_during_a_pause_counts(settings, gate):
    items = [{"topic": f"t{number}"} for number in range(8)]
    async with serving(settings, processors=("gate:gate",)) as api:
        await _create(api, items=items, processor="gate:gate", concurrency=4)
        await gate.reached(4)

        await api.ann.post("/api/batches/topics/pause")
        resumed = await api.ann.post("/api/batches/topics/resume")
        gate.open()

        assert resumed.status_code == 202
        job = await api.settled("topics")
        assert job["completed"] == 8, f"the job is {job['state']}, {job['completed']} items are completed"


async def test_failed_items_retried_while_a_run_comes_to_its_end_are_worked_on(settings, picky, monkeypatch):
    """Items that are requeued while the run of an ended job is still closing are processed."""
    is_over, may_end = asyncio.Event(), asyncio.Event()
    resume = Batches.resume

    async def lingering(self, *arguments, **options):
        result = await resume(self, *arguments, **options)
        is_over.set()
        await may_end.wait()
        return result

    monkeypatch.setattr(Batches, "resume", lingering)
    async with serving(settings, processors=("picky:picky",)) as api:
        items = [{"id": "a", "topic": "bad"}, {"id": "b", "topic": "good"}]
        await _create(api, items=items, processor="picky:picky", maxAttempts=1)
        await until(is_over.is_set)
        picky.fix()

        await api.ann.post("/api/batches/topics/retry")
        resumed = await api.ann.post("/api/batches/topics/resume")
        may_end.set()

        assert resumed.status_code == 202
        assert (await api.settled("topics"))["completed"] == 2


async def test_a_cancelled_job_stays_cancelled(api):
    """A cancelled job cannot be resumed, and discarding it frees its name."""
    await _create(api, start=False)

    cancelled = await api.ann.post("/api/batches/topics/cancel")
    resumed = await api.ann.post("/api/batches/topics/resume")
    discarded = await api.ann.post("/api/batches/topics/discard")

    assert cancelled.json()["state"] == "cancelled"
    assert (resumed.status_code, resumed.json()["error"]["code"]) == (409, "invalid_transition")
    assert discarded.json() == {"id": "topics", "discarded": True}
    assert (await api.ann.get("/api/batches/topics")).status_code == 404


async def test_failed_items_are_listed_and_retried(settings, picky):
    """Failed items are listed in pages with their errors, and some or all of them can be requeued."""
    async with serving(settings, processors=("picky:picky",)) as api:
        items = [{"id": f"bad-{number}", "topic": "bad"} for number in range(3)]
        await api.ann.post("/api/batches", json={"jobId": "j", "items": items, "processor": "picky:picky"})
        assert (await api.settled("j"))["state"] == "completed_with_failures"

        first = (await api.ann.get("/api/batches/j/failed", params={"limit": 2})).json()
        second = (await api.ann.get("/api/batches/j/failed", params={"cursor": first["nextCursor"]})).json()
        retried = await api.ann.post("/api/batches/j/retry", json={"itemIds": ["bad-1"]})
        unknown = await api.ann.post("/api/batches/j/retry", json={"itemIds": ["none"]})
        picky.fix()
        named = await api.ann.post("/api/batches/j/resume", json={"retryItems": ["bad-2"]})
        in_between = await api.settled("j")
        resumed = await api.ann.post("/api/batches/j/resume", json={"retryFailed": True})

        assert [item["id"] for item in first["items"] + second["items"]] == ["bad-0", "bad-1", "bad-2"]
        assert first["items"][0]["errorCode"] == "processor_error.ValueError"
        assert (retried.json()["retried"], retried.json()["job"]["pending"]) == (1, 1)
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "item_not_found")
        assert (named.status_code, resumed.status_code) == (202, 202)
        assert (in_between["completed"], in_between["failed"]) == (2, 1)
        assert (await api.settled("j"))["state"] == "completed"


async def test_deleted_conversations_are_made_again(api):
    """A job shows how many of its conversations were deleted, and their items are requeued on request."""
    first, *_ = await api.made(3)
    selected = {"selection": {"conversationIds": [first]}}
    plan = (await api.ann.post("/api/conversations/delete-plan", json=selected)).json()
    await api.ann.post("/api/conversations/delete", json={**selected, "digest": plan["digest"]})
    before = (await api.ann.get("/api/batches/job")).json()

    refused = await api.ann.post("/api/batches/job/retry", json={"deleted": True, "itemIds": ["a"]})
    foreign = await api.bob.post("/api/batches/job/retry", json={"deleted": True})
    retried = (await api.ann.post("/api/batches/job/retry", json={"deleted": True})).json()

    assert (before["completed"], before["deleted"], before["withoutInput"]) == (3, 1, 0)
    assert (refused.status_code, foreign.status_code) == (422, 404)
    assert (retried["retried"], retried["withoutInput"]) == (1, 0)
    assert (retried["job"]["state"], retried["job"]["pending"], retried["job"]["completed"]) == ("pending", 1, 2)


async def test_a_batch_shows_what_it_paused_on_and_passes_it(settings, monkeypatch):
    """A paused job shows the answer that paused it, and continues once that item is skipped."""
    module = ModuleType("stuck")

    async def stuck(item, work):
        work.raw("<html>refused</html>")
        return Halt("it was refused", code="refused") if item.id == "b" else None

    module.stuck = stuck
    monkeypatch.setitem(sys.modules, "stuck", module)
    async with serving(settings, processors=("stuck:stuck",)) as api:
        items = [{"id": name, "topic": name} for name in "abc"]
        await _create(api, items=items, processor="stuck:stuck", concurrency=1)
        paused = await api.settled("topics")
        unknown = await api.ann.post("/api/batches/topics/skip", json={"itemIds": ["b", "none"]})
        completed = await api.ann.post("/api/batches/topics/skip", json={"itemIds": ["b", "a"]})
        nothing = await api.ann.post("/api/batches/topics/skip", json={"itemIds": []})
        skipped = await api.ann.post("/api/batches/topics/skip", json={"itemIds": ["b"]})
        await api.ann.post("/api/batches/topics/resume")
        ended = await api.settled("topics")

    (attempt,) = paused["pauseEvidence"]
    assert (attempt["id"], attempt["state"], attempt["errorCode"]) == ("b", "pending", "refused")
    assert (attempt["attempts"], attempt["raw"]) == (1, "<html>refused</html>")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "item_not_found")
    assert (completed.status_code, completed.json()["error"]["code"]) == (409, "invalid_transition")
    assert nothing.status_code == 422
    assert (skipped.json()["skipped"], skipped.json()["job"]["pause"]["code"]) == (1, "refused")
    assert (ended["state"], ended["completed"], ended["skipped"]) == ("completed", 2, 1)


@pytest.mark.parametrize(
    "name, content",
    [
        ("topics.csv", b"\xef\xbb\xbfid,topic,audience\r\na,Lighthouses,children\r\nb,Tides,\r\n"),
        ("topics.tsv", b"id\ttopic\na\tLighthouses\nb\tTides\n"),
        ("topics.jsonl", b'{"id":"a","topic":"Lighthouses"}\n{"id":"b","topic":"Tides"}\n'),
        ("topics.JSON", b'[{"id":"a","topic":"Lighthouses"},{"id":"b","topic":"Tides"}]'),
    ],
)
async def test_a_job_of_a_file(api, name, content):
    """The suffix of an uploaded file's name selects its format, and the rest of the name is ignored."""
    answer = await api.ann.post(
        "/api/batches/upload",
        files={"file": (f"../../etc/{name}", content)},
        data={"jobId": "up", "processor": "scripted"},
    )

    assert answer.status_code == 201, answer.text
    assert (await api.settled("up"))["completed"] == 2


async def test_columns_of_a_file_can_be_named(api):
    """An upload can name the columns for id, topic and persona."""
    answer = await api.ann.post(
        "/api/batches/upload",
        files={"file": ("q.csv", b"key,question,who\nk1,Why?,a child\n")},
        data={
            "jobId": "up",
            "processor": "scripted",
            "idColumn": "key",
            "topicColumn": "question",
            "personaColumn": "who",
        },
    )
    await api.settled("up")

    (made,) = (await api.ann.get("/api/conversations")).json()["conversations"]
    assert answer.status_code == 201
    assert (made["itemId"], made["topic"], made["persona"]) == ("k1", "Why?", "a child")


@pytest.mark.parametrize(
    "name, content, status, code",
    [
        ("x.csv", b"id,topic\na,b,c\n", 422, "invalid_row"),
        ("x.csv", b"", 422, "input_empty"),
        ("x.csv", b"name\nx\n", 422, "unknown_column"),
        ("x.csv", b"id,topic\na,x\na,y\n", 422, "duplicate_item"),
        ("x.jsonl", b"{", 422, "invalid_row"),
        ("x.csv", b"\xff\xfe\x00", 422, "input_unreadable"),
        ("x.parquet", b"PAR1", 422, "input_unreadable"),
        ("x.xlsx", b"PK", 415, "unsupported_file"),
        ("", b"id,topic\n", 422, "invalid_request"),
    ],
)
async def test_a_bad_file_is_refused(api, name, content, status, code):
    """An unreadable file is refused without revealing its path, and no job is created."""
    answer = await api.ann.post(
        "/api/batches/upload", files={"file": (name, content)}, data={"jobId": "up", "processor": "scripted"}
    )

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert "/tmp" not in answer.text
    assert "backstay-server" not in answer.text
    assert (await api.ann.get("/api/batches/up")).status_code == 404


async def test_only_what_the_settings_name_is_run(api):
    """A request cannot run a recipe or processor that the settings do not name."""
    unlisted = await api.ann.post("/api/batches", json={"jobId": "j", "items": _ITEMS, "processor": "os:getcwd"})
    recipe = await api.ann.post("/api/batches", json={"jobId": "j", "items": _ITEMS, "recipe": "mine"})
    neither = await api.ann.post("/api/batches", json={"jobId": "j", "items": _ITEMS})
    both = await api.ann.post(
        "/api/batches", json={"jobId": "j", "items": _ITEMS, "processor": "scripted", "recipe": "mine"}
    )

    assert (unlisted.status_code, unlisted.json()["error"]["code"]) == (403, "processor_not_allowed")
    assert (recipe.status_code, recipe.json()["error"]["code"]) == (403, "processor_not_allowed")
    assert neither.status_code == both.status_code == 422


async def test_a_job_of_another_processor_is_left_to_others(api, settings):
    """The server shows a job of the command line with another processor, but does not run it."""
    async with Backstay.open(settings.database_url, owner=ANN) as backstay:
        await backstay.batches.create("theirs", [{"topic": "x"}], "json:dumps")

    response = await api.ann.get("/api/batches/theirs")
    resumed = await api.ann.post("/api/batches/theirs/resume")

    assert response.json()["processor"] == "json:dumps"
    assert (resumed.status_code, resumed.json()["error"]["code"]) == (403, "processor_not_allowed")


async def test_a_recipe_is_allowed_by_all_that_is_in_it(settings, tmp_path):
    """A job with the same model as an allowed recipe but another address is not run."""
    (tmp_path / "own.toml").write_text('model = "ollama:tiny"\nturns = 2\n')
    async with Backstay.open(settings.database_url, owner=ANN) as backstay:
        await backstay.batches.create(
            "evil", [{"topic": "x"}], Recipe(model="ollama:tiny", turns=2, base_url="http://10.0.0.1/")
        )
        await backstay.batches.create("good", [{"topic": "x"}], Recipe.load(tmp_path / "own.toml"))

    async with serving(settings, recipes={"own": str(tmp_path / "own.toml")}) as api:
        evil = await api.ann.post("/api/batches/evil/resume")
        good = await api.state.backstay.for_owner(ANN).batches.prepare_resume("good")

    assert (evil.status_code, evil.json()["error"]["code"]) == (403, "processor_not_allowed")
    assert "10.0.0.1" not in evil.text
    assert good.id == "good"


async def test_a_recipe_that_sends_a_key_elsewhere_waits_for_the_settings(settings, tmp_path, monkeypatch):
    """A recipe that sends an API key to a new host is refused, naming both, until the settings allow it."""
    monkeypatch.setenv("OPENAI_API_KEY", "0123456789abcdef")
    (tmp_path / "own.toml").write_text('model = "m"\nbase_url = "https://models.example/v1"\nturns = 2\n')
    recipes = {"own": str(tmp_path / "own.toml")}
    body = {"jobId": "j", "items": _ITEMS, "recipe": "own", "start": False}

    async with serving(settings, recipes=recipes) as api:
        refused = await api.ann.post("/api/batches", json=body)
        job = await api.ann.get("/api/batches/j")
    allowing = settings.model_copy(update={"allowed_keys": ["models.example OPENAI_API_KEY"]})
    async with serving(allowing, recipes=recipes) as api:
        allowed = await api.ann.post("/api/batches", json=body)
        resumable = await api.state.backstay.for_owner(ANN).batches.prepare_resume("j")

    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (503, "api_key_not_allowed")
    assert "sends the key in OPENAI_API_KEY to models.example" in error["message"]
    assert "allowed_keys" in error["message"]
    assert "--allow-key" not in error["message"]
    assert job.status_code == 404
    assert (allowed.status_code, resumable.id) == (201, "j")


async def test_the_server_says_what_it_runs(settings, tmp_path):
    """The API lists the recipes and processors by the names that requests use."""
    (tmp_path / "own.toml").write_text('model = "ollama:tiny"\n')
    async with serving(settings, recipes={"own": str(tmp_path / "own.toml")}, processors=("scripted",)) as api:
        assert (await api.ann.get("/api/recipes")).json() == {"recipes": ["own"], "processors": ["scripted"]}


async def test_one_owner_takes_no_more_than_a_share(settings, gate):
    """An owner who holds half of the slots is refused with the names of the settings, while another owner is not."""
    async with serving(settings, max_jobs=4, processors=("scripted", "gate:gate")) as api:
        body = {"items": _ITEMS, "processor": "gate:gate"}
        answers = [await api.ann.post("/api/batches", json={**body, "jobId": name}) for name in ("a", "b", "c")]
        other = await api.bob.post("/api/batches", json={**body, "jobId": "a"})

        assert [answer.status_code for answer in (*answers, other)] == [201, 201, 429, 201]
        assert "`max_jobs` and `owner_share`" in answers[2].json()["error"]["message"]
        gate.open()


async def test_so_many_jobs_at_once_and_no_more(settings, gate):
    """A job beyond the limit is refused with 429, and can be resumed later."""
    async with serving(settings, max_jobs=1, processors=("scripted", "gate:gate")) as api:
        await api.ann.post("/api/batches", json={"jobId": "one", "items": _ITEMS, "processor": "gate:gate"})
        second = await api.ann.post("/api/batches", json={"jobId": "two", "items": _ITEMS, "processor": "scripted"})

        assert (second.status_code, second.json()["error"]["code"]) == (429, "too_many")
        gate.open()
        await api.settled("one")
        assert (await api.ann.post("/api/batches/two/resume")).status_code == 202
        assert (await api.settled("two"))["state"] == "completed"


async def test_resuming_twice_works_once(settings, gate):
    """Several resume requests start only one run of a job in one process."""
    async with serving(settings, processors=("gate:gate",)) as api:
        await _create(api, processor="gate:gate")

        answers = await asyncio.gather(*(api.ann.post("/api/batches/topics/resume") for _ in range(5)))

        assert {answer.status_code for answer in answers} == {202}
        assert api.state.supervisor.job_count == 1
        gate.open()
        assert (await api.settled("topics"))["completed"] == 2


@pytest.mark.parametrize("name", ["a/b", "a b", "ü→", "...", "a/items", "a%2Fb", "x?y#z", "events", "upload"])
async def test_any_name_has_an_address(api, name):
    """A job with any name can be reached at its percent-encoded address."""
    created = await _create(api, name, start=False)

    assert created.status_code == 201
    response = await api.ann.get(f"/api/batches/{quote(name, safe='')}")
    assert response.status_code == 200, response.text
    assert response.json()["id"] == name
    assert (await api.ann.get(created.headers["location"])).json()["id"] == name


async def test_a_job_keeps_the_limits_that_it_was_given(settings, monkeypatch):
    """A job keeps the limits of a request for later runs, and a request limit needs a recipe."""
    items = [{"topic": f"t{number}"} for number in range(40)]
    module = ModuleType("kept")
    module.write = Writer()
    monkeypatch.setitem(sys.modules, "kept", module)
    async with serving(settings, processors=("kept:write",), concurrency=9) as api:
        made = await _create(api, items=items, processor="kept:write", concurrency=3, start=False)
        await api.ann.post("/api/batches/topics/resume", json={"limit": 20})
        await api.settled("topics")
        refused = await api.ann.post("/api/batches/topics/resume", json={"rpm": 60})
        again = await api.ann.post("/api/batches/topics/resume", json={"concurrency": 5})

    assert (made.json()["concurrency"], module.write.most_at_once) == (3, 3)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "settings_error")
    assert again.json()["concurrency"] == 5
