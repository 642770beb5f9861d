"""`backstay probe`: test an endpoint with a few small calls."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli import key_permission, schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.endpoint_line import describe_endpoint
from backstay.cli.exit_status import ExitStatus
from backstay.cli.invocation import run_async
from backstay.cli.options import AllowKey
from backstay.cli.output import Output
from backstay.cli.text import format_count, printable
from backstay.errors import SettingsError
from backstay.limits import MAX_SECONDS, MIN_SECONDS

if TYPE_CHECKING:
    from backstay.generate.key_source import KeySources
    from backstay.generate.probe import ProbeReport
    from backstay.generate.recipe import Recipe


@command()
def probe(
    session: CommandSession,
    recipe: Annotated[str | None, typer.Option(metavar="FILE", help="Recipe that names the endpoint.")] = None,
    model: Annotated[str | None, typer.Option(metavar="M", help="Model, like --model of `backstay run`.")] = None,
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Endpoint, like --base-url of `backstay run`.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="S", min=MIN_SECONDS, max=MAX_SECONDS, help="Maximum seconds per call.")
    ] = 120.0,
    allow_key: AllowKey = None,
) -> int:
    """Test what an endpoint supports.

    Requests a conversation of two turns, which costs a few hundred tokens: one call, or up to four if the endpoint
    rejects stricter forms of structured output. Stores nothing.

    \b
    Examples:
      backstay probe --recipe recipe.toml
      backstay probe --model llama3 --base-url http://localhost:8000/v1
    """
    from backstay.generate.key_source import KeySources
    from backstay.generate.recipe import Recipe

    if recipe is None and model is None:
        raise SettingsError(
            "Name the endpoint: --recipe FILE, or --model M, with --base-url URL for an endpoint of your own",
            setting="model",
        )
    path = Path(recipe) if recipe is not None else None
    resolved = Recipe.load(path, {"model": model, "base_url": base_url})
    settings = session.invocation.settings()
    keys = KeySources.from_settings(settings)
    session.out.note(f"{describe_endpoint(resolved, keys)}.")
    report = key_permission.with_permission(
        lambda: run_async(_probe(resolved, settings.allowed_keys, keys, timeout_seconds=timeout)), allow_key
    )
    _print(session.out, resolved, report, keys.environment)
    return ExitStatus.DONE if report.problem is None else ExitStatus.ERROR


async def _probe(
    recipe: "Recipe", allowed_keys: Iterable[str], keys: "KeySources", *, timeout_seconds: float
) -> "ProbeReport":
    from backstay.generate.key_permission import allowed_endpoint
    from backstay.generate.probe import probe as probe_endpoint
    from backstay.generate.provider_account import Accounts

    endpoint = allowed_endpoint(recipe, allowed_keys, keys.environment)
    accounts = Accounts(keys=keys)
    try:
        return await probe_endpoint(recipe, endpoint, await accounts.account(endpoint), timeout_seconds=timeout_seconds)
    finally:
        await accounts.close()


def _print(out: Output, recipe: "Recipe", report: "ProbeReport", environ: Mapping[str, str]) -> None:
    from backstay.generate.probe import recipe_lines

    lines = recipe_lines(recipe, report) if report.problem is None else []
    if out.as_json:
        out.print_json(schemas.ProbeOut.from_report(report, lines, recipe.endpoint.in_environment(environ), environ))
        return
    findings = dict(_problem_findings(report) if report.problem is not None else _findings(report))
    answered = "" if report.answered == report.calls else f"{report.answered} of "
    calls = f"{answered}{format_count(report.calls, 'call')}{' answered' if answered else ''}"
    findings["cost"] = f"{calls}, {report.tokens_in:,} + {report.tokens_out:,} tokens"
    for name, finding in findings.items():
        out.line(f"{name:<9}  {printable(finding)}")
    if lines:
        out.line()
        for line in lines:
            out.line(printable(line))


def _problem_findings(report: "ProbeReport") -> Iterator[tuple[str, str]]:
    """Yield the problem, and the findings before it."""
    yield (
        "problem",
        f"{report.problem}; give it longer with --timeout" if report.problem_code == "timeout" else str(report.problem),
    )
    if report.excerpt is not None:
        yield "said", report.excerpt
    if report.rejected:
        yield "structure", f"not {', '.join(report.rejected)}"
    yield from _request_changes(report)
    if report.end is not None:
        yield "end", _format_end(report)
    if report.thinking:
        yield "thinking", ", ".join(report.thinking)
    if report.reports_usage:
        yield "usage", "reported"
    if report.limits:
        yield "limits", _format_limits(report)


def _findings(report: "ProbeReport") -> Iterator[tuple[str, str]]:
    """Yield all findings about an endpoint that answered, including what it lacks."""
    refused = f"; not {', '.join(report.rejected)}" if report.rejected else ""
    yield "structure", f"{report.structure}{refused}"
    yield "stream", "yes" if report.stream else "not requested"
    yield from _request_changes(report)
    yield "end", _format_end(report)
    yield "thinking", ", ".join(report.thinking) or "none seen"
    yield "usage", "reported" if report.reports_usage else "not reported"
    yield "limits", _format_limits(report) or "none reported"


def _request_changes(report: "ProbeReport") -> Iterator[tuple[str, str]]:
    changes = [f"{instead} instead of {name}" for name, instead in report.renamed.items()]
    changes += [f"without {name}" for name in report.omitted]
    if changes:
        yield "asked", ", ".join(changes)


def _format_end(report: "ProbeReport") -> str:
    return f"{report.end or 'none'}{'' if report.is_end_known else ', an unknown reason'}"


def _format_limits(report: "ProbeReport") -> str:
    return "; ".join(f"{name}: {value}" for name, value in sorted(report.limits.items()))
