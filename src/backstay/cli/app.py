"""The Typer application: its commands and its global options."""

import os
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from backstay.cli import dry_run, logs, variable_warnings
from backstay.cli.commands import (
    adopt,
    backup_cleanup,
    backup_folder,
    backup_restore,
    backups,
    conversation_delete,
    conversation_edit,
    conversation_export,
    conversation_import,
    conversation_regenerate,
    conversation_reviews,
    conversations,
    doctor,
    failed_items,
    index,
    init,
    items,
    jobs,
    migrate,
    probe,
    resume,
    run,
    serve,
)
from backstay.cli.exit_status import EPILOG
from backstay.cli.invocation import Invocation, LogFormat


class Commands(typer.core.TyperGroup):
    """The commands of `backstay`.

    The error for a verb without its group, like `export`, suggests the whole command. The error for an option without
    its dashes, like `version`, suggests the option.
    """

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]  # Typer's own class
        verb = args[0]
        suggested = [
            f"'{name} {verb}'" for name, group in self.commands.items() if verb in getattr(group, "commands", ())
        ]
        suggested += [f"'--{verb}'" for parameter in self.get_params(ctx) if f"--{verb}" in parameter.opts]
        if suggested and verb not in self.commands and not ctx.resilient_parsing:  # set while a shell completes
            ctx.fail(f"No such command {verb!r}. Did you mean {', '.join(suggested)}?")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="backstay",
    cls=Commands,
    # Plain help loads fast and is the same in a pipe, in a manual and on a terminal.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_requested: bool) -> None:
    if is_requested:
        from importlib.metadata import version

        typer.echo(f"backstay {version('backstay')}")
        raise typer.Exit


@app.callback(invoke_without_command=True, epilog=EPILOG)
def backstay(
    context: typer.Context,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Path of the database, sqlite:///path, or postgresql://user@host/database "
            "[default: BACKSTAY_DATABASE_URL, else .backstay/backstay.db here or in the nearest folder above].",
        ),
    ] = None,
    owner: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER", help="Owner of the jobs and conversations [default: BACKSTAY_OWNER, else local]."
        ),
    ] = None,
    log_format: Annotated[LogFormat, typer.Option(help="Format of the messages on standard error.")] = LogFormat.TEXT,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Generate large batches of training conversations without losing one or paying for one twice.

    \b
    Start:
      backstay init
      backstay run topics.csv --recipe recipe.toml --dry-run
      backstay run topics.csv --recipe recipe.toml
      backstay conversations export --job topics -o topics.messages.jsonl

    \b
    After an interruption:
      backstay resume

    \b
    Delete, and undo it:
      backstay conversations delete --job topics
      backstay backups restore BACKUP
    """
    invocation = Invocation.from_context(context)
    invocation.database = database
    invocation.owner = owner
    invocation.json_logs = log_format is LogFormat.JSON
    logs.configure(as_json=invocation.json_logs)
    variable_warnings.warn_of_unknown(os.environ, as_json=invocation.json_logs)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _add_group(name: str, description: str, commands: Mapping[str, Callable[..., int]]) -> None:
    group = typer.Typer(help=description)
    for verb, function in commands.items():
        group.command(verb, epilog=EPILOG)(function)
    app.add_typer(group, name=name, epilog=EPILOG)


app.command(epilog=EPILOG, cls=dry_run.RunCommand)(run.run)
for command in (
    resume.resume,
    jobs.jobs,
    jobs.status,
    failed_items.failed,
    failed_items.retry,
    failed_items.skip,
    jobs.pause,
    jobs.cancel,
    jobs.discard,
    init.init,
    probe.probe,
    migrate.migrate,
    adopt.adopt,
    doctor.doctor,
    serve.serve,
):
    app.command(epilog=EPILOG)(command)
_add_group("items", "Show and edit single items of a job.", {"show": items.show, "edit": items.edit})
_add_group(
    "conversations",
    "List, show, review, correct, import, export, delete and make conversations again.",
    {
        "list": conversations.list_conversations,
        "show": conversations.show,
        "keep": conversation_reviews.keep,
        "reject": conversation_reviews.reject,
        "rate": conversation_reviews.rate,
        "tag": conversation_reviews.tag,
        "note": conversation_reviews.note,
        "edit": conversation_edit.edit,
        "history": conversation_edit.history,
        "diff": conversation_edit.diff,
        "revert": conversation_edit.revert,
        "import": conversation_import.import_,
        "export": conversation_export.export,
        "delete": conversation_delete.delete,
        "regenerate": conversation_regenerate.regenerate,
    },
)
_add_group(
    "index",
    "Build and delete the index that lists of conversations are filtered and sorted by.",
    {"status": index.status, "build": index.build, "drop": index.drop},
)
_add_group(
    "backups",
    "Create, verify, restore and manage backups of conversations.",
    {
        "create": backups.create,
        "list": backups.list_backups,
        "show": backups.show,
        "verify": backups.verify,
        "download": backups.download,
        "restore": backup_restore.restore,
        "pin": backups.pin,
        "unpin": backups.unpin,
        "delete": backups.delete,
        "cleanup": backup_cleanup.cleanup,
        "use-folder": backup_folder.use_folder,
    },
)
