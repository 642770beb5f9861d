"""`backstay conversations`: list and show conversations."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import reminders, schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.selection_options import ConditionOptions, refuse_unknown_import
from backstay.cli.text import format_time, printable, printable_lines
from backstay.errors import SettingsError
from backstay.library.display import format_part, format_value, indent_json, shown_parts
from backstay.library.id_text import parse_printed_id, printed_id
from backstay.library.lists import Position, Sort
from backstay.library.turn import part_type
from backstay.limits import MAX_LIST_ENTRIES
from backstay.other_owners import OwnedKind

if TYPE_CHECKING:
    from backstay.library.archived_recipe import ArchivedRecipe
    from backstay.library.conversation import Conversation
    from backstay.library.lists import ConversationSummary
    from backstay.library.review import Review
    from backstay.library.turn import Turn
    from backstay.regeneration.plan import ConversationHistory, Replacement

_COLUMNS = ("ID", "TOPIC", "PERSONA", "JOB", "ITEM", "TURNS", "CREATED", "REVIEW")


@command()
async def list_conversations(
    session: CommandSession,
    conditions: ConditionOptions,
    sort: Annotated[Sort, typer.Option(help="Order of the list; by rating, only those with one.")] = Sort.NEWEST,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=MAX_LIST_ENTRIES, help="Maximum number of conversations.")
    ] = 50,
    before: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Continue a list; its last line names the cursor.")
    ] = None,
    back: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Go back in a list, to the page that ends at the cursor.")
    ] = None,
) -> None:
    """List conversations, the newest first, and count them.

    In a pipe: one conversation per line, tabs between id, topic, persona, job, item, number of turns, time and review.
    Instead of a topic that is missing, the first words are printed.

    \b
    Examples:
      backstay conversations list --job topics --limit 10
      backstay conversations list --search "lighthouse" --older-than 30d
      backstay conversations list --unreviewed --tag good
      backstay conversations list --min-turns 6 --sort longest
      backstay conversations list --json
    """
    selection = conditions.selection()
    narrowed = selection if selection.is_narrowed else None
    if before is not None and back is not None:
        raise SettingsError("--before and --back cannot be combined", setting="back")
    after, until = (Position.from_text(text, sort) if text is not None else None for text in (before, back))
    backstay, out = await session.open(), session.out
    if narrowed is not None:
        await refuse_unknown_import(backstay, narrowed)
    lists = backstay.conversations.lists
    page = await lists.page(narrowed, sort=sort, after=after, before=until, limit=limit)
    if out.as_json:
        out.print_json(schemas.ConversationsOut.from_page(page, total=await lists.total(narrowed, sort=sort)))
    elif page.conversations:
        out.table(_COLUMNS, [_row(summary) for summary in page.conversations], unbroken=("CREATED",))
        if page.has_previous or page.has_next:
            out.note(f"{len(page.conversations):,} of {await lists.total(narrowed, sort=sort)} conversations.")
        words = ["conversations", "list", *conditions.as_words(), f"--limit={limit}"]
        words += [f"--sort={sort}"] if sort is not Sort.NEWEST else []
        for name, option, position in (("Previous", "back", page.previous), ("Next", "before", page.next)):
            if position is not None:
                cursor = position.to_cursor(sort)
                out.note(f"{name} page: {session.invocation.command(*words, f'--{option}={cursor}')}")
    else:
        kind = "more " if before is not None or back is not None else "matching " if narrowed is not None else ""
        out.note(f"No {kind}conversations.")
        if not await backstay.conversations.list(None, limit=1):
            await reminders.mention_other_owners(out, backstay, OwnedKind.CONVERSATION)
    await session.remind()


@command()
async def show(
    session: CommandSession,
    conversation: Annotated[str, typer.Argument(metavar="ID", help="Id of the conversation.", parser=parse_printed_id)],
) -> None:
    """Show one conversation: its turns with their reasoning, tool calls and parts.

    Embedded data, such as an image, is shown as its size; --json prints it in full.

    \b
    Example:
      backstay conversations show 0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b
    """
    backstay = await session.open()
    record = await backstay.conversations.show(conversation)
    history = await backstay.regenerations.history(conversation)
    session.out.print_result(
        lambda: schemas.ConversationOut.from_conversation(record, history), *_format_lines(record, history)
    )
    await session.remind()


def _row(summary: "ConversationSummary") -> tuple[object, ...]:
    texts = (summary.topic or summary.opening or "", summary.persona or "")
    ids = (printed_id(value or "") for value in (summary.job_id, summary.item_id))
    review = ", ".join(_judgement(summary.review)) if summary.review is not None else ""
    return printed_id(summary.id), *texts, *ids, summary.turns, summary.created_at, review


def _judgement(review: "Review") -> "Iterator[str]":
    """Yield the status, the rating and the tags of a review, as far as it has them."""
    if review.status != "unreviewed":
        yield review.status
    if review.rating is not None:
        yield f"rated {review.rating}"
    yield from review.tags


def _review_fields(review: "Review") -> "Iterator[tuple[str, str | None]]":
    yield "status", review.status
    yield "rating", str(review.rating) if review.rating is not None else None
    for tag in review.tags:
        yield "tag", tag
    yield "note", review.note
    reviewed_at = format_time(review.reviewed_at) if review.reviewed_at is not None else ""
    yield "reviewed", f"{reviewed_at} by {review.reviewer}" if review.reviewer is not None else reviewed_at


def _format_lines(conversation: "Conversation", history: "ConversationHistory") -> list[str]:
    fields = (
        ("id", printed_id(conversation.id or "")),
        ("topic", conversation.topic),
        ("persona", conversation.persona),
        ("content", conversation.content),
        ("job", conversation.job_id and printed_id(conversation.job_id)),
        ("item", conversation.item_id and printed_id(conversation.item_id)),
        ("created", conversation.created_at and format_time(conversation.created_at)),
        ("replaced", history.made_again_from and _format_replacement(history.made_again_from)),
        ("restored", history.replaced_by and f"was replaced by {printed_id(history.replaced_by.new_id)}"),
        *(("recipe", _format_recipe(recipe)) for recipe in history.recipes),
        *(("metadata", f"{name}={_as_text(value)}") for name, value in conversation.metadata.items()),
        *(_review_fields(conversation.review) if conversation.review is not None else ()),
    )
    lines = [f"{name:<9} {printable(value)}" for name, value in fields if value is not None]
    if conversation.tools:
        lines += _block("tools", format_value(list(conversation.tools)))
    for turn in conversation.turns:
        lines += _turn_lines(turn)
    return lines


def _format_replacement(replacement: "Replacement") -> str:
    held = f", which {replacement.backup_id} holds" if replacement.backup_id is not None else ", which was deleted"
    return f"{printed_id(replacement.old_id)}{held}"


def _format_recipe(recipe: "ArchivedRecipe") -> str:
    return f"revision {recipe.revision} of {printed_id(recipe.job_id)}: {_as_text(dict(recipe.recipe))}"


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _turn_lines(turn: "Turn") -> Iterator[str]:
    """Yield a turn: a heading at the left for each of its texts, whose lines are indented."""
    role = f"{turn.role} {turn.name}" if turn.name else turn.role
    notes = [f"result of {turn.tool_call_id}"] if turn.tool_call_id else []
    if turn.metadata and "weight" in turn.metadata:
        notes.append(f"weight {turn.metadata['weight']}")
    text = "" if turn.current_parts else turn.content  # which is the parts' text
    yield ""
    if turn.reasoning:
        yield from _block(f"{role}, reasoning", turn.reasoning)
    if text or notes or not (turn.reasoning or turn.parts or turn.tool_calls):
        yield from _block(", ".join((role, *notes)), text)
    for part in shown_parts(turn):
        kind = "part" if turn.current_parts else "part before its text was edited"
        yield from _block(f"{role}, {kind}: {part_type(part)}", format_part(part))
    for call in turn.tool_calls:
        call_id = "" if call.id is None else f" as {call.id}"
        yield from _block(f"{role} calls {call.name}{call_id}", indent_json(call.arguments))


def _block(heading: str, text: str) -> list[str]:
    return [f"{printable(heading)}:", *(f"  {line}" for line in printable_lines(text))]
