"""`backstay serve`: the HTTP API."""

import os
from typing import Annotated

import typer

from backstay.cli.invocation import Invocation
from backstay.cli.options import AsJson
from backstay.cli.output import Output, flush
from backstay.cli.variables import warn_of_supabase
from backstay.errors import SettingsError
from backstay.extras import packages_missing

_NO_PAGES = (
    "Requests need a JSON Web Token, as the settings say, so there are no pages for a browser. For pages on this "
    "machine: BACKSTAY_AUTH=token backstay serve"
)
_SCRIPTED_ONLY = (
    "Only the built-in scripted writer is offered, and it calls no model. Name your recipes under [server.recipes] in "
    'backstay.toml, as in: tutor = "tutor.toml"'
)


def serve(
    context: typer.Context,
    host: Annotated[
        str | None, typer.Option(metavar="HOST", help="Address to listen at [default: 127.0.0.1].", show_default=False)
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65535, help="Port, 0 for any [default: 8717].", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve the HTTP API, until it is stopped by Ctrl-C or SIGTERM.

    On one's own machine the printed address lets a browser in. For others, set SUPABASE_URL, or BACKSTAY_JWT_SECRET
    and BACKSTAY_JWT_ISSUER. Jobs that it works on stop gracefully, and can be resumed.

    \b
    Examples:
      backstay serve
      backstay serve --port 9000
      SUPABASE_URL=https://project.supabase.co backstay serve --host 0.0.0.0
    """
    invocation = Invocation.from_context(context)
    out = Output(invocation, as_json=as_json)
    try:
        from backstay.server import serve
        from backstay.server.settings import load
    except ModuleNotFoundError as error:
        message = packages_missing("backstay serve", "server")
        raise SettingsError(message, setting="server", missing=error.name) from error
    settings, server = invocation.settings(), load(host=host, port=port)
    warn_of_supabase(settings, os.environ, out)

    def tell(place: serve.ServeAddress) -> None:
        if as_json:
            from backstay.schemas import ServeOut

            out.answer(ServeOut(url=place.url, token=place.token))
        out.line(f"{place.url}/?token={place.token}" if place.token is not None else place.url)
        flush()
        if place.token is None:
            out.note(_NO_PAGES)
        if server.is_scripted_only:
            out.note(_SCRIPTED_ONLY)
        out.note("Press Ctrl-C to stop.")

    serve.serve(settings, server, tell=tell)
