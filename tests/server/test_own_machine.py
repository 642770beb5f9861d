"""Jobs of commands, resumed by the server on the user's own machine."""

import asyncio
import os
import shlex
import subprocess
import sys
from urllib.parse import quote

import pytest

from backstay import Backstay, Recipe
from backstay.errors import ProcessorNotAllowed
from backstay.library.id_text import parse_printed_id
from backstay.server.resume_permission import ResumePermission
from backstay.server.settings import ServerSettings
from backstay.settings import load
from support.data.conversations import items
from support.fakes.processors import Writer
from support.fakes.provider import ProviderServer
from support.harness.async_waiting import until
from support.servers.api import ANN, ENOUGH, KINDS, libraries, serving

settings = libraries(ENOUGH)
on_any_database = libraries(KINDS)
_OWN = {"local": True, "is_standalone": True}
_PICKY = {"confirm": "picky:picky"}


async def _started_by_command(settings, processor="picky:picky", *, owner="local"):
    async with Backstay.open(settings.database_url, owner=owner) as backstay:
        await backstay.batches.create("job", items(3), processor)


async def _options(api):
    return (await api.ann.get("/api/batches/job/resume")).json()


async def _resumed(api, **body):
    answer = await api.ann.post("/api/batches/job/resume", json=body)
    return answer.status_code, answer.json().get("error", {}).get("code")


async def test_a_recipe_is_followed_as_it_is_frozen_in_the_job(on_any_database):
    """A job with an unlisted recipe is resumed if its database is the user's own file."""
    settings = on_any_database
    with ProviderServer() as provider:
        await _started_by_command(settings, Recipe(model="tiny", base_url=provider.base_url, turns=2))
        async with serving(settings, **_OWN) as api:
            options, resumed = await _options(api), await _resumed(api)
            job = await api.settled("job")

    if settings.postgres_url is None:
        assert (options, resumed) == ({"possible": True, "confirm": None, "reason": None, "command": None}, (202, None))
        assert (job["completed"], len(provider.calls)) == (3, 3)
    else:
        assert (options["possible"], resumed) == (False, (403, "processor_not_allowed"))
        assert provider.calls == []


async def test_a_function_is_called_once_it_was_named(settings, picky):
    """A function is imported only after it is confirmed, and another name does not confirm it."""
    await _started_by_command(settings)
    sys.modules.pop("picky", None)
    async with serving(settings, **_OWN) as api:
        options = await _options(api)
        without, wrong = await _resumed(api), await _resumed(api, confirm="json:dumps")
        was_imported = "picky" in sys.modules
        page = await api.ann.post("/batches/act", data={"id": "job", "action": "resume"})
        resumed = await _resumed(api, **_PICKY)
        job = await api.settled("job")

    assert (options["possible"], options["confirm"]) == (True, "picky:picky")
    assert without == wrong == (422, "confirmation_needed")
    assert (page.status_code, was_imported) == (422, False)
    assert (resumed, job["completed"]) == ((202, None), 3)


async def test_the_page_asks_before_a_function_is_called(settings, picky):
    """The confirmation page names the function, and its button confirms the call."""
    await _started_by_command(settings)
    async with serving(settings, **_OWN) as api:
        page = (await api.ann.get("/batches/one", params={"id": "job"})).text
        question = (await api.ann.get("/batches/resume", params={"id": "job"})).text
        answer = await api.ann.post("/batches/act", data={"id": "job", "action": "resume", "confirm": "picky:picky"})
        job = await api.settled("job")

    assert "/batches/resume?id=job" in page
    assert "<code>picky:picky</code>" in question
    assert (answer.status_code, job["completed"]) == (303, 3)


async def test_a_job_of_a_programs_own_function_is_never_resumed(settings):
    """A server never resumes a job whose function is a callable of a program."""
    async with Backstay.open(settings.database_url) as backstay:
        await backstay.batches.run("job", items(3), Writer(), limit=1)
    async with serving(settings, **_OWN) as api:
        options, resumed = await _options(api), await _resumed(api, confirm="caller")

    assert (options["possible"], options["command"]) == (False, None)
    assert "only that program can resume it" in options["reason"]
    assert resumed == (409, "processor_not_portable")


@pytest.mark.parametrize(
    "change",
    [{"local": False}, {"is_standalone": False}, {"allowed_hosts": ("x",)}, {"cors_origins": ("https://x.example",)}],
    ids=["with JSON Web Tokens", "within another application", "under other names", "for other pages"],
)
async def test_a_server_that_others_may_reach_resumes_what_its_settings_name(settings, picky, change):
    """A server that others can reach refuses to call the function, and shows the command that resumes the job."""
    await _started_by_command(settings, owner="local" if change.get("local", True) else ANN)
    sys.modules.pop("picky", None)
    async with serving(settings, **{**_OWN, **change}) as api:
        options, resumed = await _options(api), await _resumed(api, **_PICKY)
        page = (await api.ann.get("/batches/one", params={"id": "job"})).text

    option = f"--database {settings.database}" if change.get("local", True) else f"--owner {ANN}"
    assert (options["possible"], options["command"]) == (False, f"backstay {option} resume job")
    assert (resumed, "picky" in sys.modules) == ((403, "processor_not_allowed"), False)
    assert change.get("local", True) is False or f"<code>backstay {option} resume job</code>" in page
    assert "/batches/resume" not in page


async def test_the_command_resumes_the_job(settings, picky, tmp_path):
    """The command that a page shows resumes the job of another owner than the one that commands have by default."""
    await _started_by_command(settings, owner="ann b")
    async with serving(settings.model_copy(update={"owner": "ann b"}), **{**_OWN, "allowed_hosts": ("x",)}) as api:
        command = (await _options(api))["command"]

    words = [sys.executable, "-m", *shlex.split(command)]
    ended = await asyncio.to_thread(subprocess.run, words, cwd=tmp_path, capture_output=True, text=True)

    assert (ended.returncode, ended.stdout.startswith("job: 3 of 3 completed")) == (0, True), ended.stderr


@pytest.mark.parametrize("variable", [True, False], ids=["from a variable", "from an option"])
async def test_the_command_names_the_database_without_its_password(settings, picky, monkeypatch, variable):
    """The command names the server's database if the environment does not, and never its password."""
    await _started_by_command(settings)
    async with Backstay.open(settings.database_url) as backstay:
        job = await backstay.batches.checkpoint("job")
    url = "postgresql://ann:sesame@db.test/app"
    if variable:
        monkeypatch.setenv("BACKSTAY_DATABASE_URL", url)
    permission = ResumePermission(
        settings=load(database_url=url),
        server_settings=ServerSettings(),
        allowed=ServerSettings().allowlist(),
        is_standalone=True,
    )

    command = permission.options(job).command

    assert command == f"backstay {'' if variable else '--database postgresql://ann@db.test/app '}resume job"


@pytest.mark.parametrize("name", ["-f", "good\u200e", "two words"])
async def test_the_command_names_the_job_so_that_it_can_be_pasted(settings, picky, name):
    """The command to resume a job with an unusual name can be pasted into a shell."""
    async with Backstay.open(settings.database_url) as backstay:
        await backstay.batches.create(name, items(1), "picky:picky")
    async with serving(settings, **{**_OWN, "is_standalone": False}) as api:
        options = (await api.ann.get(f"/api/batches/{quote(name)}/resume")).json()

    *command, printed = shlex.split(options["command"])
    assert command == ["backstay", "--database", str(settings.database), "resume"]
    assert (printed.isprintable(), printed[0] != "-", parse_printed_id(printed)) == (True, True, name)


@pytest.mark.parametrize("change", ["owner", "mode"])
async def test_a_file_that_others_may_write_is_not_trusted(settings, picky, change):
    """A job in a database that other users own or can write is not run."""
    if change == "owner" and os.geteuid() != 0:
        pytest.skip("only root gives files away")
    await _started_by_command(settings)
    async with serving(settings, **_OWN) as api:
        if change == "owner":
            os.chown(settings.database, 12_345, -1)
        else:
            settings.database.chmod(0o666)
        options, resumed = await _options(api), await _resumed(api, **_PICKY)
        os.chown(settings.database, os.geteuid(), -1)
        settings.database.chmod(0o644)
        then = await _options(api)

    assert (options["possible"], resumed) == (False, (403, "processor_not_allowed"))
    assert then["possible"]


async def test_a_key_goes_only_where_that_was_allowed(settings, monkeypatch):
    """Resuming a job does not send an API key to a host that the user has not allowed."""
    recipe = Recipe(model="tiny", base_url="https://models.example/v1", turns=2)
    await _started_by_command(settings, recipe)
    monkeypatch.setenv("OPENAI_API_KEY", "0123456789abcdef")
    async with serving(settings, **_OWN) as api:
        assert await _resumed(api) == (503, "api_key_not_allowed")


async def test_nothing_is_resumed_automatically(settings, picky):
    """Automatic resume does not run jobs that the settings do not name."""
    await _started_by_command(settings)
    async with serving(settings, **_OWN) as api:
        with pytest.raises(ProcessorNotAllowed):
            await api.state.supervisor.start("local", "job")


async def _made_again(api, **body):
    """Make the completed conversations of the job again; return the status and the code of the error."""
    selection = {"selection": {"jobId": "job"}, **body}
    plan = await api.ann.post("/api/conversations/regenerate-plan", json=selection)
    if plan.status_code != 200:
        return plan.status_code, plan.json()["error"]["code"]
    started = await api.ann.post("/api/conversations/regenerate", json={**selection, "digest": plan.json()["digest"]})
    return started.status_code, started.json().get("error", {}).get("code")


async def _partly_run(api, **body):
    """Run two of the three items, so that the inputs stay stored."""
    assert (await _resumed(api, limit=2, concurrency=1, **body)) == (202, None)
    await until(lambda: _is_at_rest(api))


async def _is_at_rest(api):
    job = (await api.ann.get("/api/batches/job")).json()
    return (job["completed"], job["workers"]) == (2, 0)


async def test_another_model_may_be_chosen_on_the_own_machine(on_any_database):
    """The recipe of a job is followed with another model if its database is the user's own file."""
    settings = on_any_database
    if settings.postgres_url is not None:
        pytest.skip("a server's database is nobody's own file")
    with ProviderServer() as provider:
        await _started_by_command(settings, Recipe(model="tiny", base_url=provider.base_url, turns=2))
        async with serving(settings, **_OWN) as api:
            await _partly_run(api)
            started = await _made_again(api, model="large")
            job = await api.settled("job-again-1")

    assert started == (202, None)
    assert (job["processor"], job["completed"], len(provider.calls)) == ("large", 2, 4)


async def test_a_function_makes_again_once_it_was_named(settings, picky):
    """A function that the settings do not name makes conversations again only if the request confirms it."""
    await _started_by_command(settings)
    async with serving(settings, **_OWN) as api:
        await _partly_run(api, **_PICKY)
        ids = [each["id"] for each in (await api.ann.get("/api/conversations")).json()["conversations"]]
        page = (await api.ann.post("/conversations/regenerate-plan", data={"id": ids})).text
        allowed = (await api.ann.post("/conversations/regenerate-plan", data={"id": ids, **_PICKY})).text
        without, started = await _made_again(api), await _made_again(api, **_PICKY)
        job = await api.settled("job-again-1")

    assert "<code>picky:picky</code>" in page
    assert "Back up and make again" not in page
    assert "Back up and make again" in allowed
    assert without == (422, "confirmation_needed")
    assert (started, job["completed"]) == ((202, None), 2)
