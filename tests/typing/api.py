"""The public names, used as a program uses them; read by the type checker, never run."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from backstay import (
    Backstay,
    BackstayError,
    Backup,
    BackupProgress,
    BackupState,
    BadRow,
    BadRowsReport,
    BatchResult,
    ColumnMapping,
    Conversation,
    DeletePlan,
    DeleteResult,
    Difference,
    Done,
    ExportChoices,
    ExportedFile,
    ExportResult,
    Fail,
    FailedItem,
    Halt,
    ImportResult,
    Item,
    ItemContent,
    ItemCounts,
    ItemEdit,
    Job,
    JobProgress,
    JobState,
    LossCount,
    ReadOptions,
    Recipe,
    RecipeRevision,
    RegenerationPlan,
    RegenerationStart,
    RestorePlan,
    RestoreResult,
    Retry,
    Review,
    ReviewChange,
    ReviewChangeResult,
    ReviewStatus,
    RevisionPlan,
    RevisionResult,
    Segment,
    Selection,
    Skip,
    StopSignal,
    TokenCounts,
    Turn,
    TurnDifference,
    Version,
    VersionDifference,
    Work,
    errors,
)


async def generate(item: Item) -> Conversation:
    return Conversation(turns=[Turn(role="user", content=item.topic)])


def blocking(item: Item, work: Work) -> Conversation | Done | Skip | Retry | Fail | Halt | None:
    work.usage(tokens_in=1, tokens_out=2)
    work.raw("…")
    with work.waiting():
        pass
    if work.attempt > 1:
        return Retry("later", after_seconds=1.5)
    return Done(Conversation(turns=[Turn("user", item.topic, metadata={"a": 1})]))


async def stream() -> AsyncIterator[dict[str, object]]:
    yield {"topic": "a"}


def show(progress: JobProgress) -> None:
    counts: ItemCounts = progress.counts
    tokens: TokenCounts = progress.tokens
    print(progress.completed, counts.pending, progress.eta_seconds, tokens.tokens_in)


async def use() -> None:
    async with Backstay.open("a.db", owner="me") as backstay:
        result: BatchResult = await backstay.batches.run(
            "a", [{"topic": "x"}], generate, concurrency=2, on_progress=show
        )
        await backstay.batches.run("b", [Item("x")], blocking, stop=StopSignal())
        await backstay.batches.run("b2", [Item("x")], blocking, retry_on=(ValueError, OSError))
        await backstay.batches.resume("b2", blocking, retry_on=(ValueError,))
        await backstay.batches.resume("e", base_url="http://localhost:8001/v1")
        await backstay.batches.run("c", stream(), "scripted")
        await backstay.batches.run("d", "topics.csv", generate, columns=ColumnMapping(topic="subject"))
        await backstay.batches.run("e", "topics.csv", Recipe(model="openai:x", turns=6))
        print(result.completed, result.failed, result.skipped, result.state)
        job: Job = await backstay.batches.checkpoint("a")
        print(job.counts.planned, job.state is JobState.PAUSED)
        failure: FailedItem
        async for failure in backstay.batches.failed("a"):
            print(failure.error_code, failure.traceback or "")
        for failure in await backstay.batches.evidence("a"):
            print(failure.item_id, failure.raw, failure.state)
        skipped: int = await backstay.batches.skip("a", ["x-1"])
        print(skipped)
        revision: RevisionPlan = await backstay.batches.plan_revision("e", Recipe(model="openai:y"), retry_failed=True)
        revised: RevisionResult = await backstay.batches.revise_recipe(
            "e", Recipe(model="openai:y"), retry_failed=True, plan_digest=revision.digest
        )
        revisions: Sequence[RecipeRevision] = await backstay.batches.revisions("e")
        print(revision.differences, revised.is_new, revised.job.revision, revisions[-1].fingerprint)
        content: ItemContent = await backstay.batches.item("e", "x-1")
        edit = ItemEdit(topic="y", persona=None, set_parameters={"level": 3}, unset_parameters=["audience"])
        content = await backstay.batches.edit_item("e", "x-1", edit, retry=True, digest=content.digest)
        print(content.topic, content.is_edited)
        exported: ExportResult = await backstay.conversations.write_export(
            "dataset", Selection(job_id="a"), split={"train": 0.9, "test": 0.1}, seed=7, reasoning="drop", card=True
        )
        exported = await backstay.conversations.plan_export("all.csv", Selection(job_id="a"), lossy=True)
        files: list[ExportedFile] = list(exported.files)
        losses: list[LossCount] = list(exported.losses)
        choices: ExportChoices = {"format": "csv", "excel": True}
        print(files, losses, await backstay.conversations.write_export("a.csv.gz", **choices))
        async for conversation in backstay.conversations.export(Selection(job_id="a")):
            print(conversation.digest())
        imported: ImportResult = await backstay.conversations.import_file(
            "chats.jsonl", on_conflict="skip", split_reasoning=True, id_prefix="faq-"
        )
        await backstay.conversations.import_file("a.csv", read=ReadOptions("cp1252", delimiter="tab"), on_note=print)
        bad_rows: BadRowsReport = (
            await backstay.conversations.import_file("chats.jsonl", on_bad_row="quarantine", quarantine="bad.jsonl")
        ).bad_rows
        first_bad_row: BadRow = bad_rows.examples[0]
        print(bad_rows.count, first_bad_row.line, first_bad_row.reason)
        edited: Conversation = await backstay.edits.edit(
            "a", turns=[Turn("user", "Hi")], topic=None, expected=conversation.digest(), editor="Ann"
        )
        versions: Sequence[Version] = await backstay.edits.versions("a")
        compared: VersionDifference = await backstay.edits.compare("a", before=1)
        difference: Difference = compared.difference
        changed: Sequence[TurnDifference] = difference.turns
        pieces: Sequence[Segment] = changed[0].text
        print(await backstay.edits.revert("a", to=1), edited, versions[0].is_current, pieces[0].kind, changed[0].change)
        plan: DeletePlan = await backstay.conversations.plan_delete(Selection(search="garden"))
        deleted: DeleteResult = await backstay.conversations.delete(plan, reason="trial", on_progress=watch)
        print(imported.imported, plan.conversations, deleted.deleted, deleted.changed_ids)
        change = ReviewChange(status=ReviewStatus.KEPT, rating=None, note="n", tags=["a"], remove_tags=["b"])
        reviewed: ReviewChangeResult = await backstay.reviews.change(
            Selection(job_id="a"), change, reviewer="Ann", on_progress=print
        )
        review: Review | None = (await backstay.conversations.show("a")).review
        print(reviewed.changed, reviewed.unchanged, reviewed.conversations, review and review.reviewed_at)
        backup: Backup = await backstay.backups.create(["a", "b"], reason="why", retention=timedelta(days=30))
        print(backup.id, backup.state is BackupState.VERIFIED, (await backstay.backups.verify(backup.id)).conversations)
        if deleted.backup_id is not None:
            would: RestorePlan = await backstay.backups.plan_restore(deleted.backup_id)
            restored: RestoreResult = await backstay.backups.restore(
                deleted.backup_id, on_conflict="skip", on_progress=watch
            )
            print(would.new, restored.restored)
        await backstay.backups.cleanup(dry_run=True)
        again: RegenerationPlan = await backstay.regenerations.plan(
            Selection(job_id="topics"), model="openai:gpt-5-mini"
        )
        started: RegenerationStart = await backstay.regenerations.start(again)
        print([(await backstay.batches.resume(job_id)).completed for job_id in started.job_ids])
        await backstay.regenerations.undo(started.backup_id)
        try:
            await backstay.batches.checkpoint("no such job")
        except errors.JobNotFound as error:
            print(error.context["job_id"])
        except BackstayError as error:
            print(error.code)


def watch(progress: BackupProgress) -> None:
    print(progress.phase, progress.conversations, progress.total, progress.content_bytes)
