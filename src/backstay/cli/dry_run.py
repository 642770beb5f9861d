"""`backstay run --dry-run`: print the prompts and an estimate of the tokens."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import typer

from backstay.bad_row_policy import BadRowPolicy
from backstay.cli import schemas
from backstay.cli.endpoint_line import describe_endpoint
from backstay.cli.invocation import Invocation, run_async
from backstay.cli.output import Output
from backstay.cli.remedies import full_message
from backstay.cli.text import format_count, printable, printable_lines
from backstay.errors import ApiKeyNotAllowed
from backstay.library.id_text import printed_id

if TYPE_CHECKING:
    from backstay.batch.item_columns import ColumnMapping
    from backstay.generate.recipe import Recipe
    from backstay.readers.read_options import ReadOptions
    from backstay.settings import Settings

_OPTION = "--dry-run"
_DEFAULT_COUNT = "3"


class RunCommand(typer.core.TyperCommand):
    """The command `run`: its `--dry-run` takes an optional number, and its help names the providers."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # one class
        if _OPTION in args:
            at = args.index(_OPTION) + 1
            if at == len(args) or not args[at].isdecimal():
                args = [*args[:at], _DEFAULT_COUNT, *args[at:]]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        from backstay.generate.providers import PROVIDERS  # imported here: the help of no other command needs it

        for parameter in self.params:
            if isinstance(parameter, typer.core.TyperOption) and parameter.name == "model":
                parameter.help = (parameter.help or "").replace("{providers}", ", ".join(PROVIDERS))
        super().format_options(ctx, formatter)


def show(
    out: Output,
    recipe: "Recipe",
    file: str,
    count: int,
    columns: "ColumnMapping",
    policy: BadRowPolicy,
    read: "ReadOptions",
    settings: "Settings",
    allow_key: str | None,
) -> None:
    """Print the first items' prompts, and the endpoint. Calls no model and creates no job."""
    from backstay.generate.key_source import KeySources
    from backstay.generate.prompt_preview import preview

    keys = KeySources.from_settings(settings)
    environ = keys.environment
    endpoint = recipe.endpoint.in_environment(environ)
    sampled = run_async(preview(recipe, file, count, columns=columns, policy=policy, read=read, on_note=out.input_note))
    if out.as_json:
        out.print_json(schemas.PreviewOut.from_preview(sampled, endpoint, environ))
        return
    for sample in sampled.samples:
        out.line(f"── {printed_id(sample.item_id)}, about {format_count(sample.tokens_in, 'token')}")
        for name, text in (("system", sample.prompt.system), ("user", sample.prompt.user)):
            if text is not None:
                out.line(f"{name}:")
                for line in printable_lines(text):
                    out.line(f"  {line}")
        out.line()
    out.line(f"{describe_endpoint(recipe, keys)}.")
    allowed_now = [f"{allow_key} {endpoint.key_variable}"] if allow_key is not None else []
    _print_permission(out, recipe, [*settings.allowed_keys, *allowed_now], environ)
    out.line(
        f"{format_count(sampled.items, 'item')} for {printable(recipe.model)} at {printable(endpoint.host)}: about "
        f"{sampled.tokens_in:,} tokens in and {sampled.tokens_out:,} out, estimated from lengths. No model was called."
    )


def _print_permission(out: Output, recipe: "Recipe", allowed_keys: Iterable[str], environ: Mapping[str, str]) -> None:
    from backstay.generate.key_permission import allowed_endpoint

    try:
        allowed_endpoint(recipe, allowed_keys, environ)
    except ApiKeyNotAllowed as error:
        out.line(f"{printable(full_message(Invocation(), error))}.")
