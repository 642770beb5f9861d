"""`backstay index`: the index that lists of conversations are filtered, sorted and searched by."""

from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.text import format_count

if TYPE_CHECKING:
    from backstay.library.conversation_index import IndexStatus


@command()
async def status(session: CommandSession) -> None:
    """Show how many conversations are indexed, and whether their texts are.

    Those that are not are scanned by each list, which is slower and finds the same.

    \b
    Example:
      backstay index status
    """
    backstay = await session.open()
    state = await backstay.index.status()
    texts = (
        "There is no text index; create it with: " + session.invocation.command("index", "build", "--text")
        if state.texts is None
        else f"The text index has {format_count(state.texts, 'conversation')}."
    )
    session.out.print_result(
        lambda: schemas.IndexStatusOut.model_validate(state),
        f"{format_count(state.indexed, 'conversation')} indexed, {state.unindexed:,} not yet. {texts}",
    )
    await session.remind()


@command(when_interrupted="Interrupted; what is indexed stays indexed.")
async def build(
    session: CommandSession,
    text: Annotated[
        bool, typer.Option("--text", help="Index texts as well, from now on: searches need not read all of them.")
    ] = False,
) -> None:
    """Index the conversations that are not indexed yet.

    A run, an import and a server do so by themselves. It is safe to interrupt, and while batches run.

    \b
    Examples:
      backstay index build
      backstay index build --text
    """
    backstay = await session.open()
    if text:
        await backstay.index.create_text_index()
    await backstay.index.fill()
    state = await backstay.index.status()
    session.out.print_result(lambda: schemas.IndexStatusOut.model_validate(state), f"{_format_indexed(state)}.")
    await session.remind()


@command()
async def drop(
    session: CommandSession,
    text: Annotated[
        bool, typer.Option("--text", help="Delete the text index only, of all owners, and for good.")
    ] = False,
) -> None:
    """Delete the index, which holds nothing that the conversations do not. Build it again with `backstay index build`.

    \b
    Examples:
      backstay index drop && backstay index build
      backstay index drop --text
    """
    backstay = await session.open()
    await (backstay.index.drop_text_index() if text else backstay.index.drop())
    state = await backstay.index.status()
    message = "The text index is deleted." if text else "The index is deleted."
    session.out.print_result(lambda: schemas.IndexStatusOut.model_validate(state), message)
    await session.remind()


def _format_indexed(state: "IndexStatus") -> str:
    indexed = f"{format_count(state.indexed, 'conversation')} indexed"
    return indexed if state.texts is None else f"{indexed}, {state.texts:,} with texts"
