"""`backstay probe`: a few small calls, and what follows from them."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import key_permission
from backstay.cli.endpoint_line import describe
from backstay.cli.exits import Status
from backstay.cli.invocation import Invocation, in_loop
from backstay.cli.options import AllowKey, AsJson
from backstay.cli.output import Output
from backstay.cli.text import counted, plain

if TYPE_CHECKING:
    from backstay.generate.key_source import KeySources
    from backstay.generate.probe import ProbeReport
    from backstay.generate.recipe import Recipe


def probe(
    context: typer.Context,
    recipe: Annotated[str | None, typer.Option(metavar="FILE", help="Recipe whose endpoint is asked.")] = None,
    model: Annotated[str | None, typer.Option(metavar="M", help="Model, as for run.")] = None,
    base_url: Annotated[str | None, typer.Option(metavar="URL", help="Endpoint, as for run.")] = None,
    allow_key: AllowKey = None,
    as_json: AsJson = False,
) -> int:
    """Find out what an endpoint can do.

    It is asked for a conversation of two turns, which costs a few hundred tokens: once, or up to four times where it
    refuses the stricter ways of asking. Nothing is stored.

    \b
    Examples:
      backstay probe --recipe recipe.toml
      backstay probe --model llama3 --base-url http://localhost:8000/v1
    """
    from backstay.generate.key_source import KeySources
    from backstay.generate.recipe import Recipe

    invocation = Invocation.of(context)
    out = Output(invocation, as_json=as_json)
    path = Path(recipe) if recipe is not None else None
    chosen = Recipe.load(path, {"model": model, "base_url": base_url})
    settings = invocation.settings()
    keys = KeySources.from_settings(settings)
    out.note(f"{describe(chosen, keys)}.")
    report = key_permission.allowing(lambda: in_loop(_probe(chosen, settings.allowed_keys, keys)), allow_key)
    _print(out, chosen, report)
    return Status.DONE if report.problem is None else Status.ERROR


async def _probe(recipe: "Recipe", allowed_keys: Iterable[str], keys: "KeySources") -> "ProbeReport":
    from backstay.generate.account import Accounts
    from backstay.generate.key_permission import allowed_endpoint
    from backstay.generate.probe import probe as ask

    endpoint = allowed_endpoint(recipe, allowed_keys, keys.environment)
    accounts = Accounts(keys=keys)
    try:
        return await ask(recipe, endpoint, accounts.account(endpoint))
    finally:
        await accounts.close()


def _print(out: Output, recipe: "Recipe", report: "ProbeReport") -> None:
    from backstay.generate.probe import recipe_lines

    lines = recipe_lines(recipe, report) if report.problem is None else []
    if out.as_json:
        from backstay.objects import ProbeOut

        out.answer(ProbeOut.of(report, lines))
        return
    if report.problem is not None:
        out.line(f"problem    {plain(report.problem)}")
    refused = f"; not {', '.join(report.refused)}" if report.refused else ""
    out.line(f"structure  {report.structure or 'none'}{refused}")
    out.line(f"stream     {'yes' if report.stream else 'not asked for'}")
    other = [f"{instead} instead of {name}" for name, instead in report.renamed.items()]
    other += [f"without {name}" for name in report.omitted]
    if other:
        out.line(f"asked      {', '.join(other)}")
    unknown = "" if report.is_end_known else ", an unknown word"
    out.line(f"end        {plain(report.end or 'none')}{unknown}")
    out.line(f"thinking   {', '.join(report.thinking) or 'none seen'}")
    out.line(f"usage      {'reported' if report.reports_usage else 'not reported'}")
    out.line(f"limits     {'; '.join(f'{k}: {v}' for k, v in sorted(report.limits.items())) or 'none named'}")
    out.line(f"cost       {counted(report.calls, 'call')}, {report.tokens_in:,} + {report.tokens_out:,} tokens")
    if lines:
        out.line()
        for line in lines:
            out.line(plain(line))
