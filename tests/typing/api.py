"""The public names, used as a program uses them; read by the type checker, never run."""

from collections.abc import AsyncIterator
from datetime import timedelta

from holdfast import (
    Backup,
    BackupProgress,
    BatchResult,
    Columns,
    Conversation,
    DeletePlan,
    Deletion,
    Done,
    Doom,
    Fail,
    Failure,
    Holdfast,
    Imported,
    Item,
    Job,
    Progress,
    Recipe,
    Restored,
    RestorePlan,
    Retry,
    Selection,
    Skip,
    Stop,
    Turn,
    Work,
)


async def generate(item: Item) -> Conversation:
    return Conversation(turns=[Turn(role="user", content=item.topic)])


def blocking(item: Item, work: Work) -> Conversation | Done | Skip | Retry | Fail | Doom | None:
    work.usage(tokens_in=1, tokens_out=2)
    work.raw("…")
    with work.waiting():
        pass
    if work.attempt > 1:
        return Retry("later", after=1.5)
    return Done(Conversation(turns=[Turn("user", item.topic, metadata={"a": 1})]))


async def stream() -> AsyncIterator[dict[str, object]]:
    yield {"topic": "a"}


def show(progress: Progress) -> None:
    print(progress.completed, progress.counts.pending, progress.eta_seconds, progress.tokens.tokens_in)


async def use() -> None:
    async with Holdfast.open("a.db", owner="me") as hold:
        result: BatchResult = await hold.batches.run("a", [{"topic": "x"}], generate, concurrency=2, on_progress=show)
        await hold.batches.run("b", [Item("x")], blocking, stop=Stop())
        await hold.batches.run("c", stream(), "scripted")
        await hold.batches.run("d", "topics.csv", generate, columns=Columns(topic="subject"))
        await hold.batches.run("e", "topics.csv", Recipe(model="openai:x", turns=6))
        print(result.completed, result.failed, result.skipped, result.state)
        job: Job = await hold.batches.checkpoint("a")
        print(job.counts.planned)
        failure: Failure
        async for failure in hold.batches.failed("a"):
            print(failure.error_code)
        async for conversation in hold.conversations.export(Selection(job_id="a")):
            print(conversation.digest())
        imported: Imported = await hold.conversations.import_file("chats.jsonl", on_conflict="skip")
        plan: DeletePlan = await hold.conversations.plan_delete(Selection(search="garden"))
        deleted: Deletion = await hold.conversations.delete(plan, reason="trial", on_progress=watch)
        print(imported.imported, plan.conversations, deleted.deleted, deleted.changed_ids)
        backup: Backup = await hold.backups.create(["a", "b"], reason="why", expires_in=timedelta(days=30))
        print(backup.id, backup.state, (await hold.backups.verify(backup.id)).conversations)
        if deleted.backup_id is not None:
            would: RestorePlan = await hold.backups.plan_restore(deleted.backup_id)
            restored: Restored = await hold.backups.restore(deleted.backup_id, on_conflict="skip", on_progress=watch)
            print(would.new, restored.restored)
        await hold.backups.cleanup(dry_run=True)


def watch(progress: BackupProgress) -> None:
    print(progress.phase, progress.conversations, progress.total, progress.content_bytes)
