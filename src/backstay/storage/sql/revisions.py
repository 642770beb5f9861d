"""Changes of what is left of a job: revisions of its recipe, and edits of its items. Implements `RevisionStore`."""

from collections.abc import Sequence

import orjson

from backstay.batch.item import ItemState
from backstay.batch.item_edit import ItemContent, item_changed_error, refuse_uneditable
from backstay.batch.job import Job, JobAction, check_action, has_workers_error
from backstay.batch.job_recipe import FrozenRecipe
from backstay.batch.recipe_revision import PlanDigest, RecipeRevision, RevisionPlan
from backstay.errors import ItemNotFound, PlanOutdated
from backstay.library.canonical_json import digest_of
from backstay.library.id_text import quoted_id
from backstay.storage.sql.database import Row, Session, SqlStore
from backstay.storage.sql.input_blocks import packed_inputs
from backstay.storage.sql.jobs import find_job, lock_job, retry_items
from backstay.storage.sql.times import from_micros, now_micros

FIRST_REVISION = 1


class SqlRevisions(SqlStore):
    """The revisions of recipes, and the contents of items."""

    async def revisions(self, owner: str, job_id: str) -> Sequence[RecipeRevision]:
        def revisions(session: Session) -> list[RecipeRevision]:
            values = {"job_key": find_job(session, owner, job_id).key, "owner": owner}
            return [
                RecipeRevision(number, orjson.loads(recipe), fingerprint, from_micros(created_at))
                for number, fingerprint, recipe, created_at in session.rows("revisions", values)
            ]

        return await self._database.read(revisions, owner=owner)

    async def remaining(
        self, owner: str, job_id: str, *, with_failed: bool, after: int, limit: int
    ) -> Sequence[ItemContent]:
        def remaining(session: Session) -> list[ItemContent]:
            values = {"job_key": find_job(session, owner, job_id).key, "owner": owner, "with_failed": with_failed}
            rows = session.rows("remaining_items", {**values, "after": after, "limit": limit})
            return [_content(item_id, (position, *rest)) for position, item_id, *rest in rows]

        return await self._database.read(remaining, owner=owner)

    async def revise(self, owner: str, plan: RevisionPlan) -> Job:
        def revise(session: Session) -> Job:
            job, now = lock_job(session, owner, plan.job_id), now_micros(self._clock)
            check_action(job.id, job.state, JobAction.REVISE)
            if job.workers:
                raise has_workers_error(job.id, JobAction.REVISE)
            # No worker can begin while the job is locked, so what was rendered is what the revision applies to.
            if _plan_digest(session, job, plan) != plan.digest:
                raise PlanOutdated(f"Job {quoted_id(job.id)} has changed since the plan was made", job_id=job.id)
            number = (job.revision or 0) + 1
            insert_revision(session, owner, job.key, number, plan.recipe, now)
            values = {"recipe": recipe_text(plan.recipe), "model": plan.recipe["model"], "number": number, "now": now}
            session.execute("set_recipe", {"job_key": job.key, "owner": owner, **values})
            if plan.retry_failed:
                retry_items(session, job, None, now)
            return find_job(session, owner, job.id)

        return await self._database.write(revise)

    async def item(self, owner: str, job_id: str, item_id: str) -> ItemContent:
        return await self._database.read(lambda s: _find_item(s, find_job(s, owner, job_id), item_id), owner=owner)

    async def edit_item(
        self, owner: str, job: Job, before: ItemContent, after: ItemContent, *, retry: bool
    ) -> ItemContent:
        values = {"owner": owner, "job_key": job.key, "position": after.position}
        digests = {"digest": after.digest, "former_digest": before.digest}
        content = {
            "topic": after.topic,
            "persona": after.persona,
            "parameters": orjson.dumps(dict(after.parameters)).decode(),
        }

        def edit_item(session: Session) -> ItemContent:
            current = lock_job(session, owner, job.id)
            check_action(job.id, current.state, JobAction.EDIT)
            is_current = (current.key, current.revision) == (job.key, job.revision)
            if not (is_current and session.execute("edit_item", {**values, **digests})):
                refuse_uneditable(job.id, _find_item(session, current, after.id))
                raise item_changed_error(job.id, after.id)
            session.execute("edit_input", {**values, **content})
            stored = _find_item(session, current, after.id)
            if retry and stored.state is ItemState.FAILED:
                retry_items(session, current, [after.id], now_micros(self._clock))
                stored = _find_item(session, current, after.id)
            return stored

        return await self._database.write(edit_item)


def recipe_text(recipe: FrozenRecipe) -> str:
    """Return a recipe as the text that is stored."""
    return orjson.dumps(dict(recipe)).decode()


def insert_revision(session: Session, owner: str, job_key: int, number: int, recipe: FrozenRecipe, now: int) -> None:
    """Insert a revision of a job's recipe."""
    values = {"number": number, "fingerprint": digest_of(dict(recipe)), "recipe": recipe_text(recipe), "now": now}
    session.execute("insert_revision", {"job_key": job_key, "owner": owner, **values})


def _plan_digest(session: Session, job: Job, plan: RevisionPlan) -> str:
    digest = PlanDigest(job, plan.recipe, retry_failed=plan.retry_failed)
    values = {"job_key": job.key, "owner": job.owner, "with_failed": plan.retry_failed}
    for position, item_digest in session.stream("remaining_digests", values):
        digest.add(position, item_digest)
    return digest.hexdigest()


def _find_item(session: Session, job: Job, item_id: str) -> ItemContent:
    row = session.row("item_content", {"job_key": job.key, "owner": job.owner, "id": item_id})
    if row is None:
        raise ItemNotFound(f"Job {quoted_id(job.id)} has no item {quoted_id(item_id)}", job_id=job.id, item_id=item_id)
    position, *state, line, topic, persona, parameters = row
    if line is None:
        packed = packed_inputs(session, job.owner, job.key, [position]).get(position)
        if packed is not None:
            topic, persona, parameters, line = packed
    return _content(item_id, (position, *state, line, topic, persona, parameters))


def _content(item_id: str, row: Row) -> ItemContent:
    position, state, digest, is_edited, line, topic, persona, parameters = row
    values = orjson.loads(parameters) if parameters is not None else {}
    return ItemContent(position, item_id, ItemState(state), digest, bool(is_edited), line, topic, persona, values)
