"""The public names, used as a program uses them; read by the type checker, never run."""

from collections.abc import AsyncIterator

from holdfast import (
    BatchResult,
    Columns,
    Conversation,
    Done,
    Doom,
    Fail,
    Failure,
    Holdfast,
    Item,
    Job,
    Progress,
    Recipe,
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
