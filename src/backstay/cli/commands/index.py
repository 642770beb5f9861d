"""`backstay index`: the index that lists of conversations are filtered and sorted by."""

from backstay.cli import schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.text import format_count


@command()
async def status(session: CommandSession) -> None:
    """Show how many conversations are indexed.

    Those that are not are scanned by each list, which is slower and finds the same.

    \b
    Example:
      backstay index status
    """
    backstay = await session.open()
    state = await backstay.index.status()
    session.out.print_result(
        lambda: schemas.IndexStatusOut.model_validate(state),
        f"{format_count(state.indexed, 'conversation')} indexed, {state.unindexed:,} not yet.",
    )
    await session.remind()


@command(when_interrupted="Interrupted; what is indexed stays indexed.")
async def build(session: CommandSession) -> None:
    """Index the conversations that are not indexed yet.

    A run, an import and a server do so by themselves. It is safe to interrupt, and while batches run.

    \b
    Example:
      backstay index build
    """
    backstay = await session.open()
    await backstay.index.fill()
    state = await backstay.index.status()
    session.out.print_result(
        lambda: schemas.IndexStatusOut.model_validate(state), f"{format_count(state.indexed, 'conversation')} indexed."
    )
    await session.remind()


@command()
async def drop(session: CommandSession) -> None:
    """Delete the index, which holds nothing that the conversations do not. Build it again with `backstay index build`.

    \b
    Example:
      backstay index drop && backstay index build
    """
    backstay = await session.open()
    await backstay.index.drop()
    state = await backstay.index.status()
    session.out.print_result(lambda: schemas.IndexStatusOut.model_validate(state), "The index is deleted.")
    await session.remind()
