"""Controls: with a protection switched off, the tests' violations occur."""

import asyncio

import jwt

from backstay import Selection
from backstay.server.auth.authenticator import RequestIdentity
from backstay.server.auth.json_web_tokens import JsonWebTokens
from backstay.server.events.job_feed import JobFeed
from backstay.server.limits import AllowedHosts
from backstay.server.supervisor import Supervisor
from support.addresses import CASES, request_of
from support.serving import ANN, bearer, claims, serving
from support.sql import ask


async def test_without_owners_data_of_others_is_readable(settings, monkeypatch):
    """Without the separation of owners, Bob can read Ann's job and conversation."""
    async with serving(settings) as api:
        (conversation,) = await api.made(1)
        names = {"jobId": "job", "conversationId": conversation}
        every = api.state.backstay.for_owner
        monkeypatch.setattr(type(api.state.backstay), "for_owner", lambda _, __: every(ANN))

        for address in ("GET /api/batches/{jobId}", "GET /api/conversations/{conversationId}"):
            answer = await api.bob.request(**request_of(address, CASES[address], names))
            assert answer.status_code == 200


async def test_without_signatures_a_forged_token_is_accepted(api, monkeypatch):
    """Without signature checks, a token signed with another secret is accepted."""

    async def believing(_, token):
        return RequestIdentity(jwt.decode(token, options={"verify_signature": False})["sub"])

    monkeypatch.setattr(JsonWebTokens, "identity_of", believing)
    forged = jwt.encode(claims(ANN), "b" * 40, algorithm="HS256")

    assert (await api.anonymous.get("/api/batches", headers=bearer(forged))).status_code == 200


async def test_without_names_of_hosts_a_page_elsewhere_gets_through(settings, monkeypatch):
    """Without the check of host names, a request under a hostile name is answered."""

    async def through(self, scope, receive, send):
        await self._app(scope, receive, send)

    monkeypatch.setattr(AllowedHosts, "__call__", through)
    async with serving(settings, local=True) as api:
        answer = await api.ann.get("/api/batches", headers={"Host": "evil.example"})

    assert answer.status_code == 200


async def test_without_the_digest_something_else_is_deleted(api):
    """Without the digest, a delete also removes conversations that were added after the plan."""
    await api.made(1)
    conversations = api.state.backstay.for_owner(ANN).conversations
    plan = await conversations.plan_delete(Selection(everything=True))
    await api.made(1, job_id="more")

    deletion = await conversations.delete(Selection(everything=True), digest=None)

    assert (plan.conversations, deletion.deleted) == (1, 2)


async def test_without_the_trigger_failures_are_missed(settings, picky):
    """Without the trigger, a failed item causes no event."""
    async with serving(settings, processors=("picky:picky",)) as api:
        drop = "DROP TRIGGER item_failed" + (" ON items" if settings.server is not None else "")
        ask(settings.database_url, drop)
        items = [{"id": "bad", "topic": "bad"}]
        await api.ann.post("/api/batches", json={"jobId": "j", "items": items, "processor": "picky:picky"})
        assert (await api.settled("j"))["failed"] == 1
        feed = JobFeed(api.state.backstay.for_owner(ANN).batches, "j", poll_seconds=60)
        await feed.begin()
        await feed.poll()

        assert "item_failed" not in [one.name async for one in feed.events(0)]


async def test_without_its_memory_a_resume_during_a_pause_is_lost(settings, gate, monkeypatch):
    """Without recording the request, a resume during a pause is lost."""
    items = [{"topic": f"t{number}"} for number in range(8)]
    monkeypatch.setattr(Supervisor, "_run_until_ended", _deaf(Supervisor._run_until_ended))
    async with serving(settings, processors=("gate:gate",)) as api:
        await api.ann.post(
            "/api/batches", json={"jobId": "j", "items": items, "processor": "gate:gate", "concurrency": 4}
        )
        await gate.reached(4)

        await api.ann.post("/api/batches/j/pause")
        await api.ann.post("/api/batches/j/resume")
        gate.open()

        assert (await api.settled("j"))["state"] == "paused"


def _deaf(until_ended):
    async def working(self, owner, job_id, run):
        forgetting = asyncio.create_task(_forget(run))
        try:
            return await until_ended(self, owner, job_id, run)
        finally:
            forgetting.cancel()

    return working


async def _forget(run):
    while True:
        run.is_requested_again = False
        await asyncio.sleep(0)
