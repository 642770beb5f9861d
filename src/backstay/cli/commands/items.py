"""`backstay items`: show the content of an item, and edit it."""

import json
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstay.cli import schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.options import JobArgument
from backstay.cli.text import printable
from backstay.errors import SettingsError
from backstay.library.id_text import parse_printed_id, printed_id
from backstay.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backstay.batch.item_edit import ItemContent

ItemArgument = Annotated[str, typer.Argument(metavar="ITEM", help="Id of the item.", parser=parse_printed_id)]


@command()
async def show(session: CommandSession, job: JobArgument, item: ItemArgument) -> None:
    """Show an item of a job with its topic, persona and parameters.

    \b
    Example:
      backstay items show topics topic-17
    """
    content = await (await session.open()).batches.item(job, item)
    session.out.print_result(lambda: schemas.ItemContentOut.from_content(content), *_lines(content))
    await session.remind(except_job=job)


@command()
async def edit(
    session: CommandSession,
    job: JobArgument,
    item: ItemArgument,
    topic: Annotated[str | None, typer.Option(metavar="T", help="New topic.")] = None,
    persona: Annotated[str | None, typer.Option(metavar="P", help="New persona; an empty text for none.")] = None,
    set_values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Set a parameter; JSON if its current value is not text. May be repeated.",
        ),
    ] = None,
    unset: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Remove a parameter; may be repeated.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Also return the item to pending, if it failed.")] = False,
) -> None:
    """Change the topic, persona or parameters of a pending or failed item.

    The edited item is checked against the job's recipe first. Running the same input again neither refuses nor undoes
    the edit. Running, completed and skipped items cannot be edited.

    \b
    Examples:
      backstay items edit topics topic-17 --topic "Lighthouses by day" --retry
      backstay items edit topics topic-17 --persona "" --set audience=children --unset level
    """
    from backstay.batch.item_edit import ItemEdit

    if topic is None and persona is None and not set_values and not unset:
        raise SettingsError("Nothing to change; give --topic, --persona, --set or --unset", setting="topic")
    batches = (await session.open()).batches
    before = await batches.item(job, item)
    change = ItemEdit(
        ... if topic is None else topic,
        ... if persona is None else persona,
        _parameters(set_values or (), before.parameters),
        unset or (),
    )
    known = [*before.parameters, "topic", "persona"]
    for name in change.set_parameters:
        if name not in before.parameters:
            hint = did_you_mean(name, known) or "."
            session.out.note(
                f"{printable(name)} is a new parameter of this item{hint} --unset {quote(printable(name))} removes it."
            )
    after = await batches.edit_item(job, item, change, retry=retry, digest=before.digest)
    session.out.print_result(lambda: schemas.ItemContentOut.from_content(after), *_lines(after))
    if after.state == "pending":
        session.out.note(f"Continue with: {session.invocation.job_command('resume', job)}")
    else:
        session.out.note(f"Retry it with: {session.invocation.job_command('retry', job, printed_id(item))}")
    await session.remind(except_job=job)


def _parameters(assignments: "Sequence[str]", present: "Mapping[str, Any]") -> dict[str, Any]:
    """Return the values of NAME=VALUE; JSON if it replaces something other than text. Raises SettingsError."""
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not (name and equals):
            raise SettingsError(f"--set takes NAME=VALUE, not {printable(assignment)!r}", setting="set")
        values[name] = text
        if not isinstance(present.get(name, ""), str):
            try:
                values[name] = json.loads(text)
            except ValueError as error:
                raise SettingsError(
                    f"The parameter {name!r} is not text, so its new value must be JSON, such as 3, true or "
                    f'"text"; {printable(text)!r} is not',
                    setting="set",
                ) from error
    return values


def _lines(content: "ItemContent") -> list[str]:
    edited = ", edited" if content.is_edited else ""
    named = {"topic": content.topic, "persona": content.persona, **content.parameters}
    return [
        f"{printed_id(content.id)} ({content.state}{edited})",
        *(f"  {printable(name)}: {printable(_format(value))}" for name, value in named.items() if value is not None),
    ]


def _format(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
